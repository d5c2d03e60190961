"""Where the time of a request went, and how it ended."""

from types import SimpleNamespace

import pytest

from gateway.timings import OUTCOMES, PHASES, Timings

AGENTS = SimpleNamespace(name="hq", agent="site")
DIRECT = SimpleNamespace(name="cloud", agent=None)


def sums(timings, way):
    return dict(zip(PHASES, [round(values.total, 6) for values in timings.phases(way)], strict=True))


def test_each_way_has_its_phases():
    timings = Timings()
    timings.answered(AGENTS, 10.0, 10.5, 13.0, b"1500000")
    timings.answered(DIRECT, 0.0, 0.25, 1.25, b"1000000")
    assert sums(timings, "agent") == {"queue": 0.5, "tunnel": 1.0, "jira": 1.5, "total": 3.0}
    assert sums(timings, "direct") == {"queue": 0.25, "tunnel": 0.0, "jira": 1.0, "total": 1.25}
    assert timings.connections["hq"].seconds == 3.0


@pytest.mark.parametrize("said", [b"", b"-5", b"1e9", b"9" * 16, b"\xd9\xa1", b"99999999"])
def test_an_agent_cannot_make_the_tunnels_time_negative(said):
    timings = Timings()
    timings.answered(AGENTS, 0.0, 0.0, 2.0, said)
    found = sums(timings, "agent")
    assert found["tunnel"] >= 0
    assert found["tunnel"] + found["jira"] == found["total"] == 2.0


@pytest.mark.parametrize(
    ("status", "is_ours", "outcome"),
    [(0, False, "hung_up"), (101, False, "1xx"), (204, False, "2xx"), (302, False, "3xx"), (404, False, "4xx"),
     (503, False, "5xx"), (600, False, "other"), (999, False, "other"), (503, True, "ours"), (0, True, "ours")],
)  # fmt: skip
def test_every_end_is_counted_once(status, is_ours, outcome):
    timings = Timings()
    timings.ended("hq", status, is_ours=is_ours)
    counted = dict(zip(OUTCOMES, timings.connections["hq"].counts, strict=True))
    assert {name for name, count in counted.items() if count} == {outcome}
