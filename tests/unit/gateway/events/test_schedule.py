"""When a delivery is tried again: every outcome, by a clock of our own."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateway.events.schedule import DELAYS, Attempt, next_attempt, wait_asked_for
from gateway.store import State

NOW = datetime(2026, 11, 26, 17, 0, tzinfo=UTC)
OK = Attempt(200, None)
FAILED = Attempt(500, "HTTP 500")


def middle():
    return 0.5


def seconds(decision):
    return (decision.next_at - NOW).total_seconds()


def run(*outcomes):
    """The waits between attempts, each made when it was due, and what became of the delivery."""
    now, attempts, waits = NOW, 0, []
    for outcome in outcomes:
        decision = next_attempt(attempts, outcome, now, middle)
        attempts = decision.attempts
        if decision.state is not State.PENDING:
            return waits, decision
        waits.append(decision.next_at - now)
        now = decision.next_at
    return waits, decision


def test_three_failures_and_then_a_success():
    waits, decision = run(FAILED, FAILED, FAILED, OK)
    assert waits == [timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)]
    assert decision == (State.DELIVERED, 4, None, NOW + sum(waits, timedelta()))


def test_ten_failures_are_the_end_after_75_hours():
    waits, decision = run(*[FAILED] * 10)
    assert (decision.state, decision.attempts, decision.next_at) == (State.DEAD, 10, None)
    assert sum(waits, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert decision.settled_at == NOW + sum(waits, timedelta())


def test_gone_is_the_end_at_once():
    decision = next_attempt(0, Attempt(410, "HTTP 410", "5"), NOW, middle)
    assert (decision.state, decision.attempts, decision.settled_at) == (State.DEAD, 1, NOW)


@pytest.mark.parametrize(
    "outcome",
    [
        Attempt(302, "HTTP 302"),
        Attempt(400, "HTTP 400"),
        Attempt(404, "HTTP 404"),
        Attempt(500, "HTTP 500"),
        Attempt(None, "no whole answer within 15 s"),
        Attempt(None, "The server closed: the body is incomplete."),
        Attempt(None, "The certificate was not accepted."),
        Attempt(200, "the answer was cut"),
    ],
)
def test_everything_but_a_whole_2xx_is_tried_again(outcome):
    decision = next_attempt(0, outcome, NOW, middle)
    assert (decision.state, decision.attempts, seconds(decision), decision.settled_at) == (State.PENDING, 1, 5, None)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(status):
    assert next_attempt(9, Attempt(status, None), NOW, middle) == (State.DELIVERED, 10, None, NOW)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("0", 5),
        ("3", 5),
        ("120", 120),
        (" 120 ", 120),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 60, 86400),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        ("Thu, 26 Nov 2026 17:02:00 -0000", 120),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), 86400),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 5),
        ("Thu, 26 Nov 99999 17:02:00 GMT", 5),
        ("soon", 5),
        ("-1", 5),
        ("1.5", 5),
        ("²", 5),
        ("", 5),
        ("1" * 65, 5),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_it_is_never_sooner_than_retry_after_says_and_within_a_day(status, retry_after, wait):
    assert seconds(next_attempt(0, Attempt(status, "busy", retry_after), NOW, middle)) == wait


def test_retry_after_never_makes_it_sooner():
    assert seconds(next_attempt(3, Attempt(429, "busy", "60"), NOW, middle)) == 7200


@pytest.mark.parametrize("attempts", range(len(DELAYS)))
def test_the_jitter_is_a_tenth(attempts):
    delay = DELAYS[attempts].total_seconds()
    assert seconds(next_attempt(attempts, FAILED, NOW, lambda: 0.0)) == pytest.approx(delay * 0.9)
    assert seconds(next_attempt(attempts, FAILED, NOW, lambda: 1.0)) == pytest.approx(delay * 1.1)


def test_the_jitter_never_goes_below_retry_after():
    assert seconds(next_attempt(0, Attempt(429, "busy", "60"), NOW, lambda: 0.0)) == 60


def test_what_the_store_cuts_to_milliseconds_is_rounded_up():
    now = NOW + timedelta(microseconds=1)
    assert next_attempt(0, FAILED, now, middle).next_at == NOW + timedelta(seconds=5, milliseconds=1)


def test_a_date_is_counted_from_now():
    assert wait_asked_for("Thu, 26 Nov 2026 17:00:10 GMT", NOW) == timedelta(seconds=10)
