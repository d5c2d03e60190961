"""One trigger's deliveries: from memory, from the store, and what failures change."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from structlog.testing import capture_logs

from gateway.events.delivery_hand import MAX_WAITING
from gateway.events.delivery_room import LARGE_BYTES, MAX_LARGE_BYTES, Room, Tally
from gateway.events.delivery_worker import AT_ONCE, DeliveryWorker, Means
from gateway.store import State
from tests.support.deliveries import BAD, GONE, OK, Answers, Clock, MemoryLog, delivery, running, settle_down
from tests.support.subscriptions import NOW, make_directory, make_hook, make_trigger


class Scene:
    """A worker and everything around it."""

    def __init__(self, usual=OK, room=None, age=timedelta(hours=1), **fields):
        self.log = MemoryLog()
        self.store = self.log.store
        self.answers = Answers(usual)
        self.clock = Clock()
        self.room = room or Room()
        self.gone = []
        means = Means(
            self.log,
            self.answers,
            self.clock,
            lambda: 0.5,
            self.room,
            lambda *told: self.gone.append(told),
            NOW - age,
        )
        self.worker = DeliveryWorker(entry(**fields), means, Tally())
        self.log.listeners.append(lambda rows: [self.worker.offer(row) for row in rows])

    async def run(self):
        await self.worker.run()

    async def pass_time(self, **span):
        """Let time pass, and wake the worker as its own timer would."""
        self.clock.forward(**span)
        self.worker._wanted.set()
        await settle_down()

    async def look_again(self, **span):
        """Let time pass, and let the worker look for what others made due."""
        self.clock.forward(**span)
        self.worker.use(self.worker.entry)
        await settle_down()

    def states(self):
        return {number: row.state.value for number, row in self.store.rows.items()}

    def settled(self, number):
        return next(row for row in reversed(self.log.settled) if row.number == number)


def entry(**fields):
    [found] = make_directory(make_hook(), make_trigger(**fields)).subscriptions.triggers
    return found


async def test_a_new_event_is_sent_at_once_and_settled():
    scene = Scene()
    async with running(scene):
        reads = scene.store.reads
        scene.log.add(delivery(1))
        await settle_down()
        assert scene.answers.numbers == [1]
        assert scene.store.reads == reads
    [row] = scene.log.settled
    assert (row.number, row.state, row.attempts, row.next_at) == (1, State.DELIVERED, 1, None)
    assert (row.last_status, row.last_error, row.settled_at) == (200, None, NOW)
    assert scene.worker.tally.delivered == 1


async def test_what_is_sent_is_signed_with_both_secrets_while_one_replaces_the_other():
    scene = Scene()
    later = entry(previous_until=NOW + timedelta(hours=1), sealed_previous=entry().row.sealed_secret)
    async with running(scene):
        scene.log.add(delivery(1))
        await settle_down()
        scene.worker.use(later)
        scene.log.add(delivery(2))
        await settle_down()
    assert [len(headers["webhook-signature"].split()) for _, headers, _ in scene.answers.sent] == [1, 2]
    assert scene.answers.sent[0][0] == "https://subscriber.example/in"


async def test_what_waited_in_the_store_is_sent_oldest_first():
    scene = Scene()
    scene.log.put(*(delivery(number) for number in range(1, 200)))
    async with running(scene):
        await settle_down(1000)
        assert scene.answers.numbers == list(range(1, 200))
    assert set(scene.states().values()) == {"delivered"}


async def test_eight_at_a_time_and_each_end_begins_the_next():
    scene = Scene(usual=None)
    async with running(scene):
        scene.log.add(*(delivery(number) for number in range(1, 21)))
        await settle_down()
        assert len(scene.answers.open) == AT_ONCE
        scene.answers.answer(OK)
        await settle_down()
        assert scene.answers.numbers == list(range(1, 10))
        for _ in range(20):
            scene.answers.answer(OK)
            await settle_down()
    assert scene.answers.most_open == AT_ONCE
    assert set(scene.states().values()) == {"delivered"}


async def test_what_comes_while_the_store_is_read_is_sent_once():
    scene = Scene()
    new = delivery(1)
    scene.log.put(new)
    scene.store.meanwhile = lambda: scene.worker.offer(new)
    async with running(scene):
        await settle_down()
        scene.worker.offer(new)
        await settle_down()
    assert scene.answers.numbers == [1]


async def test_what_was_settled_and_is_not_durable_yet_is_not_sent_again_but_a_replay_is():
    scene = Scene()
    scene.log.is_slow = True
    async with running(scene):
        scene.log.add(delivery(1), delivery(2))
        await settle_down()
        for _ in range(3):
            await scene.look_again(seconds=40)
        assert scene.answers.numbers == [1, 2]
        scene.log.write()
        scene.log.put(replace(scene.store.rows[1], state=State.PENDING, attempts=0, next_at=scene.clock.now))
        await scene.look_again()
        assert scene.answers.numbers == [1, 2, 1]


async def test_an_attempt_keeps_its_place_until_its_outcome_is_durable():
    scene = Scene()
    scene.log.is_slow = True
    async with running(scene):
        scene.log.add(*(delivery(number) for number in range(1, 21)))
        await settle_down()
        await scene.look_again(seconds=40)
        assert scene.answers.numbers == list(range(1, AT_ONCE + 1))
        scene.log.write()
        await settle_down()
        assert scene.answers.numbers == list(range(1, 2 * AT_ONCE + 1))


async def test_a_gateway_that_has_just_started_begins_with_one_at_a_time():
    scene = Scene(usual=None, age=timedelta())
    scene.log.put(*(delivery(number) for number in range(1, 61)))
    async with running(scene):
        for places in range(1, AT_ONCE + 1):
            await settle_down()
            assert len(scene.answers.open) == places
            scene.answers.answer(OK, places)
            await scene.pass_time(seconds=5)
        await scene.pass_time(hours=1)
        assert len(scene.answers.open) == AT_ONCE


async def test_what_does_not_fit_is_read_from_the_store_and_nothing_is_sent_twice():
    scene = Scene(usual=None)
    count = MAX_WAITING + 100
    async with running(scene):
        for number in range(1, count + 1):
            scene.log.add(delivery(number))
        await settle_down()
        assert scene.worker.hand.waiting == MAX_WAITING
        scene.answers.answer(OK)
        await settle_down()
        scene.log.add(delivery(count + 1))  # there is room now, and those before it come first
        scene.answers.usual = OK
        scene.answers.answer(OK, AT_ONCE)
        await settle_down(3000)
    assert scene.answers.numbers == list(range(1, count + 2))


async def test_many_small_ones_are_read_at_once_and_few_big_ones():
    small, big = Scene(), Scene()
    small.log.put(*(delivery(number) for number in range(1, 200)))
    big.log.put(*(delivery(number, size=400_000) for number in range(1, 20)))
    async with running(small, big):
        await settle_down(1000)
    assert small.store.limits[:6] == [4, 8, 16, 32, 64, 64]
    assert big.store.limits[:4] == [4, 2, 2, 2]
    assert len(big.answers.sent) == 19


async def test_what_is_in_hand_hides_no_retry():
    scene = Scene(usual=None)
    scene.log.put(delivery(1), delivery(2, attempts=1, next_at=NOW + timedelta(seconds=30)))
    async with running(scene):
        for _ in range(30):
            assert scene.answers.numbers == [1]
            await scene.pass_time(seconds=1)
        assert scene.answers.numbers == [1, 2]


async def test_bodies_in_hand_are_bounded_and_one_may_always_be():
    scene = Scene(usual=None, room=Room(100_000))
    scene.room.take(99_000, at_any_rate=False)  # by other triggers
    async with running(scene):
        scene.log.add(*(delivery(number, size=5000) for number in range(1, 6)))
        for count in range(1, 6):
            await settle_down()
            assert len(scene.answers.open) == 1
            assert len(scene.answers.sent) == count
            scene.answers.answer(OK)
        await settle_down()
    assert scene.room.held == 99_000
    assert scene.answers.numbers == [1, 2, 3, 4, 5]


async def test_a_large_one_waits_while_others_have_taken_so_many_that_there_is_no_room_at_all():
    scene = Scene(room=Room(1000))
    scene.room.take(MAX_LARGE_BYTES, at_any_rate=True)  # by other triggers
    async with running(scene):
        scene.log.add(delivery(1, size=LARGE_BYTES))
        await scene.pass_time(seconds=10)
        assert scene.answers.numbers == []
        scene.room.give_back(MAX_LARGE_BYTES)
        await scene.pass_time(seconds=10)
        assert scene.answers.numbers == [1]
    assert scene.room.held == 0


async def test_a_failed_attempt_goes_again_when_it_is_due():
    scene = Scene(usual=BAD)
    async with running(scene):
        scene.log.add(delivery(1))
        await settle_down()
        assert scene.settled(1).next_at == NOW + timedelta(seconds=5)
        await scene.pass_time(seconds=4)
        assert len(scene.answers.sent) == 1
        await scene.pass_time(seconds=1)
        assert len(scene.answers.sent) == 2
        assert scene.settled(1).attempts == 2
    assert len({headers["webhook-id"] for _, headers, _ in scene.answers.sent}) == 1
    tally = scene.worker.tally
    assert (tally.failed, tally.failures, tally.last_error, tally.dead) == (2, 2, "It answered 500.", 0)


async def test_a_retry_that_waits_from_before_the_start_is_noticed_when_it_is_due():
    scene = Scene()
    scene.log.put(delivery(1, attempts=3, next_at=NOW + timedelta(seconds=0.02)))
    async with running(scene):
        assert not scene.answers.sent
        scene.clock.forward(seconds=0.02)
        async with asyncio.timeout(10):
            while not scene.answers.sent:
                await asyncio.sleep(0)
        await settle_down()
    assert scene.settled(1).attempts == 4


async def test_the_tenth_failure_is_the_end():
    scene = Scene(usual=BAD)
    scene.log.put(delivery(1, attempts=9))
    with capture_logs() as logs:
        async with running(scene):
            await settle_down()
    assert logs[-1]["event"] == "delivery_dead"
    assert (scene.settled(1).state, scene.worker.tally.dead) == (State.DEAD, 1)


async def test_while_it_fails_one_at_a_time_and_nothing_waits_in_memory():
    scene = Scene(usual=None)
    async with running(scene):
        scene.log.add(*(delivery(number) for number in range(1, 31)))
        await settle_down()
        scene.answers.answer(BAD, 3)
        await settle_down()
        assert scene.worker.is_failing
        assert (len(scene.answers.open), scene.worker.hand.waiting) == (7, 0)
        scene.answers.answer(BAD, 7)
        await scene.look_again()
        assert not scene.answers.open  # a second passes between two attempts
        for sent in (11, 12):
            await scene.pass_time(seconds=1)
            assert (len(scene.answers.open), len(scene.answers.sent)) == (1, sent)
            scene.log.add(delivery(100 + sent))
            await settle_down()
            assert len(scene.answers.open) == 1
            scene.answers.answer(BAD)
            await settle_down()
        assert (scene.worker.hand.waiting, scene.room.held) == (0, 0)


async def test_what_comes_while_it_fails_stays_in_the_store():
    scene = Scene(usual=None)
    async with running(scene):
        scene.log.add(delivery(1), delivery(2), delivery(3))
        await settle_down()
        scene.answers.answer(BAD, 3)
        await settle_down()
        await scene.pass_time(seconds=1)
        for number in (4, 5, 6):
            scene.log.add(delivery(number))
            await settle_down()
        assert scene.answers.numbers == [1, 2, 3, 4]
        assert scene.worker.hand.waiting == 0


async def test_a_clock_that_is_set_back_ends_the_pause():
    scene = Scene(usual=BAD)
    async with running(scene):
        scene.log.add(*(delivery(number, next_at=NOW - timedelta(hours=9)) for number in range(1, 6)))
        await settle_down()
        assert len(scene.answers.sent) == 5
        await scene.look_again(hours=-1)
        scene.log.add(delivery(6, next_at=NOW - timedelta(hours=9)))
        await settle_down()
        assert 6 in scene.answers.numbers


async def test_when_it_is_back_everything_that_waits_goes_at_once():
    scene = Scene(usual=BAD)
    scene.log.put(*(delivery(number, attempts=5, next_at=NOW + timedelta(hours=9)) for number in range(50, 60)))
    async with running(scene):
        scene.log.add(delivery(1), delivery(2), delivery(3))
        await settle_down()
        scene.answers.usual = OK
        scene.clock.forward(seconds=1)
        scene.log.add(delivery(4))
        await settle_down(300)
        assert set(scene.states().values()) == {"delivered"}
        assert scene.store.expedited == 1
        scene.log.add(delivery(5))
        await settle_down()
    assert scene.store.expedited == 1


async def test_two_failures_are_not_yet_an_outage():
    scene = Scene(usual=BAD)
    async with running(scene):
        scene.log.add(delivery(1), delivery(2))
        await settle_down()
        scene.answers.usual = OK
        scene.log.add(delivery(3))
        await settle_down()
    assert scene.store.expedited == 0
    assert scene.states() == {1: "pending", 2: "pending", 3: "delivered"}


async def test_gone_ends_everything_until_the_trigger_is_used_again():
    scene = Scene(usual=None)
    async with running(scene):
        scene.log.add(*(delivery(number) for number in range(1, 12)))
        await settle_down()
        scene.answers.answer(GONE)
        await settle_down()
        scene.answers.answer(GONE)
        scene.log.add(delivery(12))
        await settle_down()
        assert len(scene.answers.sent) == AT_ONCE
        assert [told[0].name for told in scene.gone] == ["sync"]
        assert scene.settled(1).state is State.DEAD
        await scene.look_again(seconds=2)
        assert len(scene.answers.sent) > AT_ONCE


async def test_a_store_that_cannot_be_read_is_logged_once_and_read_again():
    scene = Scene()
    scene.log.put(delivery(1))
    scene.store.failing = True
    with capture_logs() as logs:
        async with running(scene):
            await scene.pass_time(seconds=1)
            await scene.pass_time(seconds=1)
            reads = scene.store.reads
            await scene.look_again()
            assert scene.store.reads == reads == 3
            scene.store.failing = False
            await scene.pass_time(seconds=1)
    assert scene.answers.numbers == [1]
    assert [line["event"] for line in logs] == ["deliveries_unreadable"]


async def test_what_waits_is_made_due_later_when_the_store_fails_just_then():
    scene = Scene(usual=BAD)
    async with running(scene):
        scene.log.add(delivery(1), delivery(2), delivery(3))
        await settle_down()
        scene.answers.usual = OK
        await scene.pass_time(seconds=5)
        scene.log.put(delivery(9, next_at=NOW + timedelta(hours=1)))
        scene.worker._is_back, scene.store.failing = True, True
        await scene.pass_time(seconds=1)
        scene.store.failing = False
        await scene.pass_time(seconds=1)
        await settle_down()
    assert set(scene.states().values()) == {"delivered"}


async def test_a_fault_in_one_attempt_is_a_failure_and_the_others_go_on():
    scene = Scene(usual=ZeroDivisionError("secret"))
    with capture_logs() as logs:
        async with running(scene):
            scene.log.add(delivery(1))
            await settle_down()
            scene.answers.usual = OK
            scene.log.add(delivery(2))
            await settle_down()
    assert scene.states() == {1: "pending", 2: "delivered"}
    assert scene.settled(1).last_error == "The gateway could not send it (ZeroDivisionError)."
    assert "delivery_attempt_broken" in [line["event"] for line in logs]


async def test_an_end_settles_nothing_and_gives_everything_back():
    scene = Scene(usual=None)
    async with running(scene):
        scene.log.add(*(delivery(number) for number in range(1, 20)))
        await settle_down()
        assert scene.room.held
    assert scene.log.settled == []
    assert (scene.room.held, len(scene.worker.hand), scene.worker.hand.under_way) == (0, 0, 0)


async def test_in_order_one_of_each_issue_and_those_without_one_freely():
    scene = Scene(usual=None, ordered=True)
    async with running(scene):
        scene.log.add(delivery(1, issue="a"), delivery(2, issue="a"), delivery(3, issue="b"), delivery(4), delivery(5))
        await settle_down()
        assert sorted(scene.answers.numbers) == [1, 3, 4, 5]
        scene.answers.answer(OK)
        await scene.pass_time(seconds=0.02)
        assert scene.answers.numbers[-1] == 2


async def test_in_order_the_next_follows_at_once_however_long_the_one_before_took():
    scene = Scene(usual=None, ordered=True)
    async with running(scene):
        scene.log.add(delivery(1, issue="a"), delivery(2, issue="a"))
        await settle_down()
        for _ in range(12):
            await scene.pass_time(seconds=5)
        scene.answers.answer(OK)
        await settle_down()
        await scene.pass_time(seconds=0.02)
        assert scene.answers.numbers == [1, 2]


async def test_in_order_a_failure_holds_up_its_issue_only():
    scene = Scene(usual=BAD, ordered=True)
    async with running(scene):
        scene.log.add(delivery(1, issue="a"))
        await settle_down()
        scene.answers.usual = OK
        scene.log.add(delivery(2, issue="a"), delivery(3, issue="b"))
        await settle_down()
        await scene.pass_time(seconds=4)
        assert scene.answers.numbers == [1, 3]
        await scene.pass_time(seconds=1)
        await scene.pass_time(seconds=0.02)
        assert scene.answers.numbers == [1, 3, 1, 2]


async def test_in_order_the_one_before_counts_until_its_end_is_durable():
    scene = Scene(ordered=True)
    scene.log.is_slow = True
    async with running(scene):
        scene.log.add(delivery(1, issue="a"), delivery(2, issue="a"))
        await settle_down()
        await scene.pass_time(seconds=1)
        assert scene.answers.numbers == [1]
        scene.log.write()
        await scene.pass_time(seconds=1)
        assert scene.answers.numbers == [1, 2]


async def test_two_of_one_issue_are_never_under_way_when_an_older_one_is_replayed():
    scene = Scene(usual=None, ordered=True)
    async with running(scene):
        scene.log.add(delivery(2, issue="a"))
        await settle_down()
        scene.log.put(delivery(1, issue="a"))
        await scene.pass_time(seconds=1)
        assert scene.answers.numbers == [2]
        scene.answers.answer(OK)
        await scene.pass_time(seconds=1)
        assert scene.answers.numbers == [2, 1]


async def test_nothing_to_do_reads_nothing():
    scene = Scene()
    async with running(scene):
        reads = scene.store.reads
        for number in range(1, 50):
            scene.log.add(delivery(number))
            await settle_down(20)
        assert scene.store.reads == reads
    assert len(scene.answers.sent) == 49
