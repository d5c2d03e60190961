"""When the gateway's own gaps are written, what they cover, and when its sign of life stands still."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from gateway.events import presence as presence_module
from gateway.events.presence import OVER_AFTER, Presence
from gateway.store import Cause, StoreUnavailable, Way
from tests.support.subscriptions import NOW, make_directory, make_hook

SECOND = timedelta(seconds=1)


class FakeLog:
    def __init__(self, *alive_at):
        self.answers = list(alive_at)
        self.lived = []
        self.asked = []
        self.store = SimpleNamespace(alive_at=self._alive_at)

    async def _alive_at(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def live(self, now):
        self.lived.append(now)

    def offer_gaps(self, gaps, done):
        self.asked += [(gap, done) for gap in gaps]

    @property
    def gaps(self):
        return [(gap.connection, gap.from_at, gap.to_at) for gap, _ in self.asked]

    def settle(self, *, is_kept):
        asked, self.asked = self.asked, []
        for _, done in asked:
            done(is_kept)


class Scene:
    def __init__(self, *alive_at, way=Way.INTERNET):
        self.now = NOW
        self.log = FakeLog(*alive_at)
        self.presence = Presence(self.log, lambda: make_directory(make_hook(way=way)), lambda: self.now)

    def beat(self, now):
        self.now = now
        self.presence.beat()

    async def begin(self):
        """Run until after the first beat, however long the machine takes for that."""
        beaten, beat = asyncio.Event(), self.presence.beat

        def note():
            beat()
            beaten.set()

        self.presence.beat = note
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.presence.run())
            await beaten.wait()
            running.cancel()
        self.presence.beat = beat


async def test_the_time_in_which_there_was_no_gateway_is_a_gap():
    scene = Scene(NOW - 60 * SECOND)
    await scene.begin()
    [(gap, _)] = scene.log.asked
    assert (gap.connection, gap.cause, gap.way) == ("hq", Cause.GATEWAY, Way.INTERNET)
    assert (gap.from_at, gap.to_at) == (NOW - 60 * SECOND, NOW)
    assert scene.log.lived == []

    scene.log.settle(is_kept=True)
    scene.beat(NOW + SECOND)
    assert scene.log.lived == [NOW + SECOND]


async def test_a_gap_that_cannot_be_written_is_owed_and_nothing_says_that_all_was_well():
    scene = Scene(NOW - 60 * SECOND)
    await scene.begin()
    scene.log.settle(is_kept=False)
    scene.beat(NOW + 5 * SECOND)
    assert scene.log.gaps == [("hq", NOW - 60 * SECOND, NOW + 5 * SECOND)]
    assert scene.log.lived == []


async def test_a_store_that_cannot_be_read_yet_is_asked_again(monkeypatch):
    monkeypatch.setattr(presence_module, "BEAT_SECONDS", 0.001)
    scene = Scene(StoreUnavailable("gateway.db", "locked"), NOW - 60 * SECOND)
    await scene.begin()
    assert scene.log.gaps == [("hq", NOW - 60 * SECOND, NOW)]


@pytest.mark.parametrize("alive_at", [None, NOW + SECOND])
async def test_without_an_earlier_sign_of_life_there_is_no_gap(alive_at):
    scene = Scene(alive_at)
    await scene.begin()
    assert (scene.log.gaps, scene.log.lived[0]) == ([], NOW)


async def test_where_no_webhook_comes_from_the_internet_nothing_is_written():
    scene = Scene(NOW - 60 * SECOND, way=Way.LAN)
    await scene.begin()
    assert (scene.log.gaps, scene.log.lived) == ([], [])


def test_webhooks_that_were_turned_away_are_a_gap_once_that_is_over():
    scene = Scene()
    scene.presence.lost("hq")
    scene.beat(NOW + 5 * SECOND)
    scene.presence.lost("hq")
    last = NOW + 5 * SECOND
    scene.beat(last + OVER_AFTER - SECOND)
    assert (scene.log.gaps, scene.log.lived) == ([], [])

    scene.beat(last + OVER_AFTER)
    assert scene.log.gaps == [("hq", NOW, last + OVER_AFTER)]
    scene.log.settle(is_kept=True)
    scene.beat(last + OVER_AFTER + SECOND)
    assert scene.log.lived == [last + OVER_AFTER + SECOND]


def test_a_clock_that_was_set_back_does_not_keep_a_gap_back():
    scene = Scene()
    scene.presence.lost("hq")
    earlier = NOW - timedelta(hours=1)
    scene.beat(earlier)
    assert scene.log.gaps == [("hq", earlier, earlier)]


def test_what_is_lost_while_a_gap_is_written_is_another_one():
    scene = Scene()
    scene.presence.lost("hq")
    scene.beat(NOW + OVER_AFTER)
    scene.presence.lost("hq")
    scene.log.settle(is_kept=True)
    scene.beat(NOW + 2 * OVER_AFTER)
    assert scene.log.gaps == [("hq", NOW + OVER_AFTER, NOW + 2 * OVER_AFTER)]
