"""What a run across a WAN is judged by, and how it is shown."""

import subprocess
import sys

import pytest

from bench.wan import __main__ as command
from bench.wan.goals import GOALS, Report, verdicts
from bench.wan.loads import spans
from bench.wan.plan import PLANS
from bench.wan.site import DIRECT, OURS
from bench.wan.tables import describe, render
from bench.wan.watch import became
from tests.support.stack import PROJECT

GOOD = {"p50": 50.0, "p99": 60.0, "requests_per_second": 1200.0, "mb_per_second": 45.0, "errors": 0, "ping_ms": 90.0}
KEYS = {
    "many": ("p50", "p99", "requests_per_second", "errors"),
    "down": ("mb_per_second",),
    "up": ("mb_per_second",),
    "beside down": ("p50", "p99", "mb_per_second", "ping_ms"),
    "beside up": ("p50", "p99", "mb_per_second", "ping_ms"),
}
LINKS = became(2, [(0.0, 2), (15.0, 16), (100.0, 8), (130.0, 2)], 40.0)


def measured(load, **own):
    """Two rounds of one load."""
    return [{key: (GOOD | own)[key] for key in KEYS.get(load, ("p50", "p99"))} for _ in range(2)]


def report(**ours):
    """Every line, where each system does equally well, but ours has these figures."""
    lines = {
        plan.name: {
            name: {load: measured(load, **(ours if name == OURS else {})) for load in plan.loads}
            for name in plan.systems
        }
        for plan in PLANS
    }
    return Report(lines, LINKS)


def failed(found):
    return [goal.text for goal, value in verdicts(found) if value is None or not goal.is_met(value)]


def test_a_tunnel_as_good_as_direct_meets_every_goal():
    assert failed(report()) == []


@pytest.mark.parametrize(
    ("figure", "value", "goals"),
    [
        ("requests_per_second", 1100.0, 1),
        ("requests_per_second", 800.0, 2),
        ("mb_per_second", 40.0, 2),
        ("mb_per_second", 38.0, 4),
        ("p50", 54.0, 1),
        ("p50", 80.0, 6),
        ("p99", 101.0, 2),
        ("p99", 501.0, 3),
        ("ping_ms", 401.0, 1),
    ],
)
def test_each_figure_is_held_against_its_goals(figure, value, goals):
    assert len(failed(report(**{figure: value}))) == goals


def test_links_that_stay_or_never_rise_fail():
    stays = Report(report().lines, became(2, [(0.0, 2), (15.0, 16), (100.0, 8)], 40.0))
    never = Report(report().lines, became(2, [(0.0, 2)], 40.0))
    assert failed(stays) == ["0.5 % loss: seconds of quiet until the minimum"]
    assert failed(never) == ["0.5 % loss: links above the minimum"]


def test_what_was_not_measured_is_neither_met_nor_an_error():
    found = verdicts(Report({}))
    assert [value for _, value in found] == [None] * len(GOALS)


def test_medians_count():
    found = report()
    found.lines["rtt50"][OURS]["fresh"] = [GOOD | {"p50": value} for value in (51.0, 52.0, 90.0)]
    assert found.of("rtt50", OURS, "fresh", "p50") == 52.0


def test_the_page_shows_every_line_and_goal():
    text = render(report())
    assert all(describe(plan) in text for plan in PLANS)
    assert text.count(" met |") == len(GOALS)
    cells = ["50.0 / 60", "50.0 / 60", "1,200, 50.0 / 60", "45.0", "45.0", "50.0 / 60 (45.0) ping 90"]
    assert f"| {' | '.join([DIRECT, *cells])}" in text
    assert "Links at 0.5 % loss: 2 at 0 s, 16 at 15 s, 8 at 100 s, 2 at 130 s. Quiet began at 40 s." in text


def test_latencies_are_told_in_milliseconds():
    found = spans([n / 1000 for n in range(1, 101)])
    assert (found.p50, found.p99, found.count) == (51.0, 100.0, 100)


def test_where_there_can_be_no_line_one_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.wan"])
    monkeypatch.setattr(command, "why_not", lambda: "there is no /dev/net/tun")
    assert command.main() == 69
    assert capsys.readouterr().err == "bench-wan cannot run here: there is no /dev/net/tun\n"


def test_the_command_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "bench.wan", "--help"], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 0
    for word in ("--line", "--only", "--rounds", "/dev/net/tun", "nginx-light", "loss-bbr: RTT 50 ms"):
        assert word in done.stdout
