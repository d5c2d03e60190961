"""The workers of all triggers: who has one, what they share, and what happens when a trigger must end."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.events import deliverer as module
from gateway.events.deliverer import Deliverer
from gateway.events.delivery_worker import DeliveryWorker
from gateway.store import State, StoreError
from tests.support.deliveries import BAD, GONE, OK, Answers, Clock, MemoryLog, delivery, running, settle_down
from tests.support.subscriptions import NOW, make_directory, make_hook, make_trigger


class Scene:
    def __init__(self, usual=OK):
        self.log = MemoryLog()
        self.answers = Answers(usual)
        self.disabled = []
        self.problems = []
        self.deliverer = Deliverer(self.log, self.answers, Clock(), lambda: 0.5, self.disable, NOW)

    async def run(self):
        await self.deliverer.run()

    async def disable(self, name, reason):
        if self.problems:
            raise self.problems.pop()
        self.disabled.append((name, reason))

    def use(self, *triggers):
        self.deliverer.use(make_directory(make_hook(), *triggers).subscriptions)

    def states(self):
        return {number: row.state.value for number, row in self.log.store.rows.items()}


def trigger(number=1, **fields):
    return make_trigger(number, f"t{number}", **{"deliver_to": f"https://s{number}.example/", **fields})


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(module, "DISABLE_AGAIN_SECONDS", 0)
    monkeypatch.setattr(module, "BROKEN_SECONDS", 0)


async def test_each_event_goes_to_its_trigger_and_what_is_kept_goes_nowhere():
    scene = Scene()
    scene.use(trigger(1), trigger(2), trigger(3, deliver_to=None))
    async with running(scene):
        scene.log.add(
            delivery(1, trigger=1), delivery(2, trigger=2), delivery(3, trigger=3, state=State.KEPT),
            delivery(4, trigger=1, state=State.KEPT), delivery(5, trigger=99),
        )  # fmt: skip
        await settle_down()
    assert sorted(url for url, _, _ in scene.answers.sent) == ["https://s1.example/", "https://s2.example/"]
    assert scene.answers.kept == {"https://s1.example/", "https://s2.example/"}


async def test_a_new_trigger_gets_what_was_stored_before_it_was_known():
    scene = Scene()
    async with running(scene):
        scene.log.add(delivery(1))
        await settle_down()
        scene.use(trigger(1))
        await settle_down()
    assert scene.states() == {1: "delivered"}


async def test_a_trigger_that_is_removed_or_disabled_ends_and_goes_on_when_it_is_enabled():
    scene = Scene(usual=None)
    scene.use(trigger(1), trigger(2))
    async with running(scene):
        scene.log.add(delivery(1), delivery(2, trigger=2))
        await settle_down()
        scene.use(trigger(1, disabled_at=NOW))
        await settle_down()
        assert [future.cancelled() for future in scene.answers.open] == [True, True]
        assert scene.deliverer.room.held == 0
        assert [row["trigger"] for row in scene.deliverer.rows()] == ["t1"]
        scene.answers.usual = OK
        scene.log.add(delivery(3))
        await settle_down()
        assert scene.log.settled == []
        scene.use(trigger(1))
        await settle_down()
    assert scene.states() == {1: "delivered", 2: "pending", 3: "delivered"}


async def test_a_new_address_counts_for_the_next_attempt():
    scene = Scene()
    scene.use(trigger(1))
    async with running(scene):
        scene.use(trigger(1, deliver_to="https://other.example/"))
        scene.log.add(delivery(1))
        await settle_down()
    assert [url for url, _, _ in scene.answers.sent] == ["https://other.example/"]


async def test_counts_outlive_a_pause_and_end_with_the_trigger():
    scene = Scene(usual=BAD)
    scene.use(trigger(1))
    async with running(scene):
        scene.log.add(delivery(1))
        await settle_down()
        scene.use(trigger(1, disabled_at=NOW))
        [row] = scene.deliverer.rows()
        assert row == {
            "trigger": "t1",
            "delivered": 0,
            "failed": 1,
            "dead": 0,
            "failures_in_a_row": 1,
            "last_error": "It answered 500.",
            "last_error_at": NOW.isoformat(),
            "last_success_at": None,
            "under_way": 0,
            "waiting": 0,
        }
        scene.use()
        scene.use(trigger(1))
        assert scene.deliverer.rows()[0]["failed"] == 0


async def test_a_subscriber_that_is_gone_is_disabled_once_even_if_the_store_fails_first(at_once):
    scene = Scene(usual=GONE)
    scene.problems = [StoreError("locked"), StoreError("locked")]
    scene.use(trigger(1))
    with capture_logs() as logs:
        async with running(scene):
            scene.log.add(delivery(1), delivery(2))
            await settle_down()
            scene.log.add(delivery(3))
            await settle_down()
    assert scene.disabled == [("t1", "its subscriber answered 410 Gone: it wants no more events")]
    assert [line["event"] for line in logs if "disabled" in line["event"]] == [
        "trigger_not_disabled",
        "trigger_disabled",
    ]
    assert scene.states()[3] == "pending"


async def test_an_old_version_of_the_store_does_not_wake_what_is_being_disabled():
    scene = Scene(usual=GONE)
    scene.problems = [StoreError("locked")]
    scene.use(trigger(1))
    async with running(scene):
        scene.log.add(delivery(1))
        await settle_down()
        scene.use(trigger(1))
        scene.log.add(delivery(2))
        await settle_down()
    assert len(scene.answers.sent) == 1


async def test_a_broken_worker_begins_anew_with_what_is_in_the_store(at_once, monkeypatch):
    scene = Scene()
    broken = [ZeroDivisionError()]
    real = DeliveryWorker._read

    async def read(worker):
        if broken:
            raise broken.pop()
        await real(worker)

    monkeypatch.setattr(DeliveryWorker, "_read", read)
    scene.use(trigger(1))
    scene.log.put(delivery(1))
    with capture_logs() as logs:
        async with running(scene):
            await settle_down()
    assert scene.states() == {1: "delivered"}
    assert [line["event"] for line in logs] == ["delivery_worker_broken"]


async def test_a_fault_with_a_new_event_does_not_reach_the_log(monkeypatch):
    scene = Scene()
    scene.use(trigger(1), trigger(2))
    async with running(scene):
        monkeypatch.setattr(scene.deliverer._workers[1], "offer", lambda _: 1 / 0)
        with capture_logs() as logs:
            scene.log.add(delivery(1), delivery(2, trigger=2))
        await settle_down()
    assert scene.states()[2] == "delivered"
    assert [line["event"] for line in logs] == ["delivery_not_taken"]


async def test_what_comes_or_ends_while_everything_ends_begins_nothing():
    scene = Scene(usual=None)
    scene.use(trigger(1), trigger(2))

    class Stubborn:
        """Ends a turn later than everybody else, and hears of events until then."""

        async def run(self):
            try:
                await asyncio.Event().wait()
            finally:
                for number in range(100, 105):
                    scene.log.add(delivery(number), delivery(number + 100, trigger=2))
                    scene.answers.answer(GONE)
                    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        async with running(scene, Stubborn()):
            scene.log.add(*(delivery(number) for number in range(1, 20)))
            await settle_down()
    assert len(scene.answers.sent) <= 10


async def test_after_the_end_nothing_is_heard():
    scene = Scene()
    scene.use(trigger(1))
    async with running(scene):
        assert len(scene.log.listeners) == 1
    assert scene.log.listeners == []
    scene.use(trigger(1), trigger(2))
    scene.log.put(replace(delivery(1), trigger=2))
    async with running(scene):
        await settle_down()
    assert scene.states() == {1: "delivered"}
