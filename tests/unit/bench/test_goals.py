"""Each goal, just reached and just missed."""

from dataclasses import replace

import pytest

from bench import goals
from bench.figures import Figures
from bench.goals import GOALS
from bench.marks import MARKS, spread
from tests.support.bench_runs import run


def _verdict(figures: Figures, mark: str) -> bool | None:
    [verdict] = [one for one in goals.judge(figures) if one.goal.mark == mark]
    return verdict.is_met


def _set(figures: Figures, system: str, load: str, **changed: float) -> None:
    rounds = figures.systems[system].loads[load]
    rounds[:] = [replace(one, **changed) for one in rounds]


def test_a_run_can_meet_every_goal():
    assert [verdict.goal.mark for verdict in goals.judge(run()) if verdict.is_met is not True] == []


def test_every_goal_names_a_mark_once():
    names = [goal.mark for goal in GOALS]
    assert len(set(names)) == len(names) == 20
    assert set(names) <= set(MARKS)


@pytest.mark.parametrize(
    ("mark", "load", "change"),
    [
        ("requests/s at 1 / ssh -R", "small@1", {"requests_per_second": 4_990.0}),
        ("requests/s at 16 / ssh -R", "small@16", {"requests_per_second": 4_990.0}),
        ("requests/s at 128 / ssh -R", "small@128", {"requests_per_second": 1_990.0}),
        ("CPU at 128", "small@128", {"cpu": {"gateway": 45.0, "agent": 45.1}}),
        ("CPU at 128 / ssh -R", "small@128", {"cpu": {"gateway": 50.0, "agent": 50.1}}),
        ("requests/s at 16 / nginx", "small@16", {"requests_per_second": 9_590.0}),
        ("requests/s at 128 / nginx", "small@128", {"requests_per_second": 9_590.0}),
        ("p99 at 1 / ssh -R", "small@1", {"p99": 20.0}),
        ("p99 at 16 / ssh -R", "small@16", {"p99": 20.0}),
        ("p99 at 128 / ssh -R", "small@128", {"p99": 20.0}),
        ("one connection per request at 1 / keep-alive", "close@1", {"requests_per_second": 3_330.0}),
        ("one connection per request at 16 / keep-alive", "close@16", {"requests_per_second": 3_330.0}),
        ("one connection per request at 128 / keep-alive", "close@128", {"requests_per_second": 3_330.0}),
        ("CPU of 120 KiB rewritten / untouched", "search@16", {"cpu": {"gateway": 130.0, "agent": 31.0}}),
    ],
)
def test_a_goal_of_a_load_is_missed_just_beyond_its_bound(mark, load, change):
    figures = run()
    _set(figures, "ours", load, **change)
    assert _verdict(figures, mark) is False


@pytest.mark.parametrize("way", ["download", "upload"])
def test_bulk_has_a_share_and_a_floor(way):
    figures = run()
    figures.systems["ours"].bulk[way] = [249.0] * 3
    figures.systems["ssh-gcm"].bulk[way] = [311.0] * 3
    assert _verdict(figures, f"{way} / ssh -R aes128-gcm") is True
    assert _verdict(figures, way) is False
    figures.systems["ssh-gcm"].bulk[way] = [312.0] * 3
    assert _verdict(figures, f"{way} / ssh -R aes128-gcm") is False


def test_memory_has_bounds():
    figures = run()
    figures.idle_link_kib = 64.1
    figures.systems["ours"].rss_mib["idle"] = {"gateway": 900.0, "agent": 60.1}
    assert _verdict(figures, "idle link") is _verdict(figures, "agent idle") is False


def test_what_was_not_measured_is_neither_met_nor_missed():
    figures = run()
    del figures.systems["ssh"]
    figures.idle_link_kib = None
    assert _verdict(figures, "requests/s at 1 / ssh -R") is None
    assert _verdict(figures, "idle link") is None
    assert _verdict(figures, "CPU at 128") is True


def test_a_ratio_is_taken_within_each_round_and_its_median_counts():
    figures = run()
    ours = figures.systems["ours"].loads["small@1"]
    ssh = figures.systems["ssh"].loads["small@1"]
    ours[:] = [replace(ours[0], requests_per_second=rate) for rate in (3_000.0, 300.0, 12_000.0)]
    ssh[:] = [replace(ssh[0], requests_per_second=rate) for rate in (500.0, 50.0, 1_000.0)]
    rounds = MARKS["requests/s at 1 / ssh -R"].rounds(figures)
    assert rounds == [6.0, 6.0, 12.0]
    assert spread(rounds) == 1.0
    [verdict] = [one for one in goals.judge(figures) if one.goal.mark == "requests/s at 1 / ssh -R"]
    assert verdict.value == 6.0


def test_cpu_in_requests_of_direct_is_cpu_by_what_the_machine_does_without_a_tunnel():
    assert MARKS["CPU at 16 in requests of direct"].rounds(run()) == pytest.approx([80e-6 * 60_000] * 3)
