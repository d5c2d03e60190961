"""Collecting a request's body within bounds, without a socket."""

import pytest

from http1.collecting import BodyRoom, CollectedBody, Refusal
from http1.exchange import Exchange
from http1.messages import NO_BODY, STREAMED, RequestHead


class Outcome:
    def __init__(self, body=STREAMED, limit=10, room=None):
        exchange = Exchange(None, RequestHead(b"POST", b"/", [], body), "10.0.0.1", 0.0)
        self.heard = []
        self.collected = CollectedBody(
            exchange,
            limit,
            self.heard.append,
            self.heard.append,
            gone=lambda: self.heard.append("gone"),
            room=room,
        )
        self.receiver = self.collected.begin()

    def feed(self, *pieces, end=True):
        for piece in pieces:
            self.receiver.on_body(piece)
        if end:
            self.receiver.on_body_end([])


def test_a_body_is_handed_over_whole_and_once():
    outcome = Outcome()
    outcome.feed(b"abc", b"", b"defghij")
    assert outcome.heard == [b"abcdefghij"]


def test_an_empty_body_is_a_body():
    outcome = Outcome(body=NO_BODY)
    outcome.feed()
    assert outcome.heard == [b""]


def test_a_head_that_promises_too_much_is_refused_before_the_body():
    outcome = Outcome(body=11)
    assert outcome.receiver is None
    assert outcome.heard == [Refusal.TOO_LARGE]


def test_a_streamed_body_is_refused_once_when_it_grows_too_large():
    room = BodyRoom(100)
    outcome = Outcome(room=room)
    outcome.feed(b"abcdefghij", b"k", b"l")
    assert outcome.heard == [Refusal.TOO_LARGE]
    assert room.held == 0


def test_a_body_for_which_there_is_no_room_is_refused_and_others_stay():
    room = BodyRoom(10)
    first, second = Outcome(room=room), Outcome(room=room)
    first.feed(b"abcdef", end=False)
    second.feed(b"abcd", b"e")
    first.feed(b"ghij")
    assert (first.heard, second.heard) == ([b"abcdefghij"], [Refusal.NO_ROOM])


def test_room_is_kept_until_it_is_released_and_given_back_once():
    room = BodyRoom(10)
    outcome = Outcome(room=room)
    outcome.feed(b"abcd")
    assert room.held == 4
    outcome.collected.release()
    outcome.collected.release()
    assert room.held == 0


def test_a_caller_that_hangs_up_leaves_no_bytes_behind():
    room = BodyRoom(10)
    outcome = Outcome(room=room)
    outcome.feed(b"abcd", end=False)
    outcome.receiver.on_disconnect()
    assert (outcome.heard, room.held) == (["gone"], 0)


def test_a_caller_that_hangs_up_after_its_body_is_told_and_the_body_stays():
    room = BodyRoom(10)
    outcome = Outcome(room=room)
    outcome.feed(b"abcd")
    outcome.receiver.on_disconnect()
    assert (outcome.heard, room.held) == ([b"abcd", "gone"], 4)


@pytest.mark.parametrize("limit", [0, 3])
def test_a_body_of_exactly_the_limit_is_collected(limit):
    outcome = Outcome(body=limit, limit=limit)
    outcome.feed(b"x" * limit)
    assert outcome.heard == [b"x" * limit]
