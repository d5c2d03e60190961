"""How old a link gets, and that nothing else replaces it before."""

from types import SimpleNamespace

import pytest

from agent.links import LinkCount
from agent.recycling import AGE_SECONDS, lifetime
from agent.supervisor import LiveLink, Supervisor

DAY = 24 * 3600


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 0.75 * DAY), (0.5, DAY), (0.999999, 1.25 * DAY)])
def test_a_link_gets_about_a_day_old_each_at_a_moment_of_its_own(dice, seconds):
    assert lifetime(dice, AGE_SECONDS) == pytest.approx(seconds, rel=1e-4)


def outdated(now, **fields):
    supervisor = Supervisor(LinkCount(1, 1), None, None, None, ())
    identity = SimpleNamespace(certificate=SimpleNamespace(serial=1))
    live = LiveLink(0, None, None, None, identity, **fields)
    return supervisor, supervisor._is_outdated(live, now)


def test_it_is_replaced_from_that_moment_on_by_the_clock():
    assert not outdated(99.9, spent_at=100.0)[1]
    assert outdated(100.0, spent_at=100.0)[1]
    assert not outdated(1e12)[1]  # no age, no end


def test_an_agent_that_stops_replaces_nothing():
    supervisor, _ = outdated(0.0)
    supervisor.is_draining = True
    identity = SimpleNamespace(certificate=SimpleNamespace(serial=1))

    assert not supervisor._is_outdated(LiveLink(0, None, None, None, identity, spent_at=0.0), 100.0)
