"""One record on one stream: its outcome is told once, whatever the stream says afterwards."""

import pytest

from agent.passage import Outcome, Passage
from agent.spool_records import SpoolRecord, StoredRecord
from http1.sweep import Sweeper
from tests.support.fake_link import FakeLink
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY, RequestHead, ResponseHead

STORED = StoredRecord(1, SpoolRecord("e", b"/v1/events/ab", 1, b"", [], b"{}"))


@pytest.fixture
def told():
    return []


@pytest.fixture
def passage(told):
    return Passage(STORED, lambda stored, outcome, detail: told.append((stored, outcome, detail)), Sweeper())


@pytest.fixture
def stream(passage):
    stream = FakeLink().open_stream(RequestHead(b"POST", b"/v1/events/ab", [], 2), passage)
    passage.begin(stream)
    return stream


def test_an_answer_is_the_outcome_and_nothing_after_it_counts(passage, stream, told):
    passage.on_response(ResponseHead(204, [], NO_BODY))
    passage.on_end([])
    passage.on_reset(ErrorCode.INTERNAL, Progress.ANSWERED, "")
    assert told == [(STORED, Outcome.CARRIED, "the gateway answered 204")]


def test_an_answer_without_its_end_is_none(passage, stream, told):
    passage.on_response(ResponseHead(204, [], NO_BODY))
    passage.on_reset(ErrorCode.LINK_LOST, Progress.ANSWERED, "silent")
    assert told == [(STORED, Outcome.AGAIN, "link_lost silent")]


def test_a_body_of_an_answer_is_thrown_away(passage, stream, told):
    stream.respond(ResponseHead(204, [], 3))
    stream.deliver(b"abc")
    stream.end()
    assert stream.consumed == 3
    assert told[0][1] is Outcome.CARRIED


def test_a_passage_that_is_given_up_tells_nobody(passage, stream, told):
    passage.give_up()
    passage.on_reset(ErrorCode.CANCEL, Progress.SENT, "")
    assert (stream.resets, told) == ([ErrorCode.CANCEL], [])
