"""What goes when, on which link, how often, and what is dropped; links and the spool are played by the test."""

import asyncio

import pytest

from agent import event_courier
from agent.event_courier import EventCourier
from agent.passage import SLOWEST_LINE, STREAM_SECONDS, request_of, seconds_for
from agent.spool_records import Cause, Contents, SpoolRecord, SpoolUnavailable, StoredRecord, gap_record
from agent.tally import WebhookTally
from http1.sweep import Sweeper
from tests.support.fake_link import FakeLink
from tunnel.errors import ErrorCode, LocalProtocolError, Progress
from tunnel.heads import ResponseHead


def record(number, body=b"{}"):
    headers = [(b"Content-Type", b"application/json")]
    return SpoolRecord(f"{number:032x}", b"/v1/events/ab", 1000 + number, b"user_id=x", headers, body)


class FakeSpool:
    def __init__(self):
        self.rows = {}
        self.dropped = []
        self.dropping = 0
        self.error = None

    @property
    def contents(self):
        return Contents(len(self.rows), 0, 0, None)

    async def oldest(self, limit, max_bytes, skip):
        if self.error is not None:
            raise self.error
        found, left = [], max_bytes
        for number, kept in sorted(self.rows.items()):
            if number in skip:
                continue
            left -= kept.size
            if len(found) == limit or left < 0:
                break
            found.append(StoredRecord(number, kept))
        return found

    def drop(self, ids):
        for number in ids:
            self.dropped.append(number)
            del self.rows[number]


class Scene:
    def __init__(self):
        self.spool = FakeSpool()
        self.links = [FakeLink()]
        self.tally = WebhookTally()
        self.sweeper = Sweeper()
        self.sweeper.now = 100.0
        self.courier = EventCourier(self.spool, lambda: self.links, self.tally, self.sweeper, lambda: 5000, lambda: 1.0)

    def fill(self, count, body=b"{}", first=1):
        self.spool.rows |= {number: record(number, body) for number in range(first, first + count)}

    async def turn(self):
        """One turn of `run`, without its pause."""
        self.courier._look_for_links()
        if self.courier._may_read:
            await self.courier._read()

    @property
    def open(self):
        return [stream for link in self.links for stream in link.opened if not stream.is_closed]

    def answer(self, status, streams=None):
        for stream in self.open if streams is None else streams:
            stream.respond(ResponseHead(status, []))
            stream.end()


@pytest.fixture
def scene():
    return Scene()


def ids(streams):
    return [int(stream.head.meta[b"event-id"], 16) for stream in streams]


def test_a_webhook_becomes_the_request_of_the_protocol():
    head = request_of(record(7, b"12345"), 5000)
    assert (head.method, head.target, head.body, head.timeout_ms) == (b"POST", b"/v1/events/ab", 5, 20_000)
    assert head.headers == [(b"Content-Type", b"application/json")]
    assert head.meta == {
        b"event-id": b"0" * 31 + b"7", b"sent-at": b"5000", b"received-at": b"1007", b"query": b"user_id=x",
    }  # fmt: skip


def test_a_gap_has_no_webhooks_metas():
    head = request_of(gap_record("e", 1, 2, Cause.JIRA), 5000)
    assert (head.target, head.meta) == (b"/v1/gaps", {b"event-id": b"e", b"sent-at": b"5000"})


def test_a_large_webhook_has_more_time():
    assert seconds_for(record(1, b"x" * SLOWEST_LINE * 3)) == STREAM_SECONDS + 3


async def test_the_oldest_go_first_and_so_many_at_once(scene):
    scene.fill(100)
    await scene.turn()
    assert ids(scene.open) == list(range(1, 33))
    scene.answer(204, scene.open[:2])
    await scene.turn()
    assert ids(scene.open) == list(range(3, 35))
    assert (scene.spool.dropped, scene.tally.carried) == ([1, 2], 2)


async def test_bodies_in_flight_have_a_bound_in_bytes(scene):
    scene.fill(5, b"x" * (6 << 20))
    await scene.turn()
    await scene.turn()
    assert ids(scene.open) == [1, 2]
    scene.answer(204, scene.open[:1])
    await scene.turn()
    assert ids(scene.open) == [2, 3]


async def test_the_whole_body_is_sent_and_an_empty_one_is_none(scene):
    scene.fill(1, b"abc")
    scene.fill(1, b"", first=2)
    await scene.turn()
    assert [(stream.sent, stream.ended) for stream in scene.open] == [(b"abc", True), (b"", True)]


async def test_the_link_with_the_least_to_do_is_taken(scene):
    scene.links = [FakeLink(load=9), FakeLink(load=3), FakeLink(load=1)]
    scene.links[2].is_usable = False
    scene.fill(1)
    await scene.turn()
    assert [len(link.opened) for link in scene.links] == [0, 1, 0]


async def test_without_a_link_nothing_is_read(scene):
    scene.links.clear()
    scene.fill(3)
    scene.spool.error = AssertionError("read")
    await scene.turn()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "unknown_hook"), (403, "bad_signature"), (400, "bad_request"), (413, "too_large")],
)
async def test_what_is_refused_for_good_is_dropped_and_counted(scene, status, reason):
    scene.fill(1)
    await scene.turn()
    scene.answer(status)
    assert (scene.spool.dropped, scene.tally.dropped, scene.tally.carried) == ([1], {reason: 1}, 0)


@pytest.mark.parametrize("status", [200, 202, 302, 401, 409, 429, 500, 503])
async def test_any_other_answer_keeps_the_record_and_waits_longer_each_time(scene, status):
    scene.fill(1)
    waits = []
    for _ in range(8):
        await scene.turn()
        assert len(scene.open) == 1
        scene.answer(status)
        [due] = scene.courier._waiting.values()
        waits.append(round(due - scene.sweeper.now, 3))
        await scene.turn()
        assert scene.open == []
        scene.sweeper.now = due
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert scene.spool.dropped == []


async def test_a_reset_keeps_the_record(scene):
    scene.fill(1)
    await scene.turn()
    scene.open[0].lose(ErrorCode.LINK_LOST, Progress.SENT)
    assert (scene.spool.dropped, list(scene.courier._waiting)) == ([], [1])


async def test_a_new_link_ends_every_wait(scene):
    scene.fill(3)
    await scene.turn()
    scene.answer(503)
    await scene.turn()
    assert scene.open == []
    scene.links.append(FakeLink())
    await scene.turn()
    assert ids(scene.open) == [1, 2, 3]


async def test_no_answer_in_time_resets_the_stream_and_keeps_the_record(scene):
    scene.fill(1)
    await scene.turn()
    [stream] = scene.open
    scene.sweeper.sweep(100.0 + STREAM_SECONDS - 0.1)
    assert stream.resets == []
    scene.sweeper.sweep(100.0 + STREAM_SECONDS + 0.1)
    assert stream.resets == [ErrorCode.DEADLINE]
    assert (list(scene.courier._waiting), len(scene.sweeper)) == ([1], 0)


async def test_a_link_that_refuses_streams_keeps_the_record(scene):
    scene.links[0].refuses = ErrorCode.OVERLOADED
    scene.fill(1)
    await scene.turn()
    assert (list(scene.courier._waiting), scene.spool.dropped) == ([1], [])


async def test_what_cannot_be_put_on_the_wire_is_dropped_and_counted(scene, monkeypatch):
    def refuse(head, receiver):
        raise LocalProtocolError("a field holds LF")

    monkeypatch.setattr(scene.links[0], "open_stream", refuse)
    scene.fill(1)
    await scene.turn()
    assert (scene.spool.dropped, scene.tally.dropped) == ([1], {"unsendable": 1})


async def test_when_everything_fails_only_some_are_tried(scene):
    scene.fill(1000)
    for _ in range(10):
        await scene.turn()
        scene.answer(503)
    assert len(scene.courier._waiting) <= event_courier.MAX_WAITING + event_courier.MAX_IN_FLIGHT
    assert max(ids(scene.links[0].opened)) <= 64


async def test_one_that_fails_does_not_hold_up_the_others(scene):
    scene.fill(100)
    await scene.turn()
    for _ in range(10):
        scene.answer(500, [stream for stream in scene.open if ids([stream]) == [1]])
        scene.answer(204)
        await scene.turn()
    assert list(scene.spool.rows) == [1]
    assert ids(scene.links[0].opened).count(1) == 1, "it waits for its next turn"


async def test_records_that_cannot_be_deleted_stop_the_carrying(scene):
    scene.fill(2000)
    scene.spool.dropping = event_courier.MAX_DROPPING
    await scene.turn()
    assert scene.open == []


async def test_a_spool_that_cannot_be_read_is_asked_again_later(scene, monkeypatch, tmp_path):
    monkeypatch.setattr(event_courier, "LONGEST_SECONDS", 0)
    scene.fill(1)
    scene.spool.error = SpoolUnavailable(tmp_path, "input/output error")
    await scene.turn()
    assert scene.open == []
    assert "input/output error" in scene.courier.problem
    scene.spool.error = None
    await scene.turn()
    assert (len(scene.open), scene.courier.problem) == (1, None)


async def test_the_end_of_the_agent_resets_what_is_under_way_and_keeps_it(scene):
    scene.fill(2)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.courier.run())
        while not scene.links[0].opened:
            await asyncio.sleep(0)
        running.cancel()
    assert [stream.resets for stream in scene.links[0].opened] == [[ErrorCode.CANCEL]] * 2
    assert (scene.spool.dropped, len(scene.sweeper)) == ([], 0)


async def test_it_goes_on_at_once_when_it_is_woken(scene):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scene.courier.run())
        await asyncio.sleep(0)
        scene.fill(1)
        scene.courier.wake()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(scene.open) == 1
        running.cancel()


async def test_a_pause_takes_back_what_is_on_its_way_and_nothing_goes_until_it_ends(scene):
    scene.fill(3)
    await scene.turn()
    links = scene.links
    sent = scene.open
    scene.links = []
    scene.courier.interrupt()
    assert [stream.resets for stream in sent] == [[ErrorCode.CANCEL]] * 3
    await scene.turn()
    assert scene.spool.dropped == []

    scene.links = links
    await scene.turn()
    assert ids(scene.open) == [1, 2, 3]
    scene.answer(204)
    assert sorted(scene.spool.dropped) == [1, 2, 3]
