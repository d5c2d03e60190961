"""When canaries are sent, and which links are taken out of use."""

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.canary_watch import CanaryTimings, CanaryWatch, portions
from gateway.registry import Registry
from gateway.status import link_rows
from tests.support.fake_link import agent_link
from tunnel.errors import CloseReason, ErrorCode, Progress
from tunnel.heads import ResponseHead

TICK = 0.5
WORST = 6.0 + 9.0 + TICK


class World:
    """A registry with links whose agents answer or do not, and a watch on a clock of ours."""

    def __init__(self, *links, dice=0.5, **options):
        self.registry = Registry()
        self.closed = {}
        self.now = 1000.0
        for link in links:
            self.add(link)
        self.watch = CanaryWatch(self.registry, dice=lambda: dice, **options)

    def add(self, link):
        self.registry.add(link)
        link.link.abort = lambda reason: self._abort(link, reason)

    def _abort(self, link, reason):
        self.closed[link] = (self.now, reason)
        link.link.is_usable = False
        self.registry.remove(link)

    def go_on(self, seconds, answers=lambda link: True):
        """Look twice a second; agents answer at once where `answers` says so."""
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            self.watch._use_proven()
            self.watch.look(self.now, self.registry.every_link())
            for link in self.registry.every_link():
                for stream in link.link.opened:
                    if not stream.is_closed and answers(link):
                        stream.respond(ResponseHead(204, []))
                        stream.end()


def test_every_link_has_one_every_five_or_six_seconds():
    links = [agent_link(instance=f"i{n}") for n in range(3)]
    world = World(*links)
    world.go_on(60)

    assert [len(link.link.opened) for link in links] == [11] * 3
    assert world.closed == {}


def test_a_link_that_answers_nothing_is_out_of_use_within_16_seconds_whenever_that_begins():
    for dice in (0.0, 0.5, 0.999):
        for begins in range(12):
            wedged, fine = agent_link(instance="i1"), agent_link(instance="i2")
            world = World(wedged, fine, dice=dice)
            world.go_on(begins * TICK)
            began = world.now
            world.go_on(20, answers=lambda link, wedged=wedged: link is not wedged)

            assert list(world.closed) == [wedged]
            at, reason = world.closed[wedged]
            assert at - began <= WORST <= 16
            assert reason is CloseReason.WEDGED
            assert world.registry.pick("hq") is fine


def test_one_is_out_at_a_time_and_a_late_answer_is_in_time():
    link = agent_link()
    world = World(link)
    world.go_on(8.5, answers=lambda _: False)
    assert len(link.link.opened) == 1
    assert link.in_flight == 0  # it is no request

    world.go_on(1)

    assert world.closed == {}
    assert not link.canary.is_out


def test_a_link_that_takes_no_streams_is_asked_nothing():
    link = agent_link()
    link.link.is_usable = False  # before HELLO, or after GOAWAY
    full = agent_link(instance="i2")
    full.link.refuses = ErrorCode.OVERLOADED
    world = World(link, full)
    world.go_on(60)

    assert world.closed == {}
    assert link.link.opened == full.link.opened == []


def test_a_draining_gateway_sends_no_new_one_but_waits_for_none_either():
    link = agent_link()
    resting = []
    world = World(link, is_resting=lambda: bool(resting))
    world.go_on(TICK, answers=lambda _: False)
    resting.append(True)
    world.go_on(20, answers=lambda _: False)

    assert len(link.link.opened) == 1
    assert list(world.closed) == [link]


def test_time_in_which_the_gateway_stood_still_does_not_count():
    link = agent_link()
    world = World(link)
    world.go_on(TICK, answers=lambda _: False)
    world.now += 60  # suspended
    world.watch._forgive(60)
    world.go_on(2)

    assert world.closed == {}


def test_an_older_agents_refusal_is_life():
    link = agent_link()
    world = World(link)
    for _ in range(20):
        world.go_on(TICK, answers=lambda _: False)
        for stream in link.link.opened:
            if not stream.is_closed:
                stream.lose(ErrorCode.BAD_REQUEST, Progress.NOT_SENT, "the gateway did not say whose credentials")

    assert world.closed == {}
    assert len(link.link.opened) >= 2


def test_a_new_link_of_a_wedged_instance_is_used_only_when_it_is_proven():
    old, other = agent_link(instance="i1"), agent_link(instance="i2")
    world = World(old, other)
    world.go_on(20, answers=lambda link: link is other)
    wedged_again, proven = agent_link(instance="i1"), agent_link(instance="i1")
    world.add(wedged_again)
    assert {world.registry.pick("hq") for _ in range(4)} == {other}
    assert wedged_again in list(world.registry.every_link("hq"))  # a revocation finds it
    assert wedged_again not in list(world.registry.links("hq"))  # and nobody takes the agent for connected
    assert [row["usable"] for row in link_rows(world.registry)[:2]] == [True, False]

    world.go_on(20, answers=lambda link: link is other)
    world.add(proven)
    world.go_on(1)

    assert list(world.closed) == [old, wedged_again]
    assert {world.registry.pick("hq") for _ in range(4)} == {other, proven}
    fresh = agent_link(instance="i1")
    world.add(fresh)  # the instance is well again
    assert {world.registry.pick("hq") for _ in range(6)} == {other, proven, fresh}


def test_an_unproven_link_that_is_lost_is_forgotten():
    old = agent_link()
    world = World(old)
    world.go_on(20, answers=lambda _: False)
    fresh = agent_link()
    world.add(fresh)
    world.registry.remove(fresh)

    assert list(world.registry.every_link()) == []
    world.registry.prove(fresh)
    assert world.registry.pick("hq") is None


def test_people_see_it():
    structlog.reset_defaults()
    link = agent_link(name="hq", instance="i7")
    world = World(link)
    with capture_logs() as lines:
        world.go_on(20, answers=lambda _: False)

    [line] = lines
    assert (line["event"], line["log_level"], line["agent"]) == ("link_wedged", "warning", "hq/i7")
    assert 9 <= line["waited_seconds"] <= 9.5
    [row] = link_rows(world.registry)
    assert (row["instance"], row["usable"], row["streams"]) == ("i7", False, 0)
    assert row["wedged_at"] is not None
    assert world.registry.wedged_total == {"hq": 1}


def test_the_default_timings_keep_the_promise():
    timings = CanaryTimings()
    assert 1.09 * timings.interval + timings.patience + timings.round + timings.tick <= 16


@pytest.mark.parametrize("count", [0, 1, 4, 5, 23, 2000])
def test_a_round_looks_at_every_link_once_in_portions_of_about_the_same_size(count):
    links = [object() for _ in range(count)]
    parts = list(portions(links, 5))

    assert len(parts) == 5
    assert [link for part in parts for link in part] == links
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
