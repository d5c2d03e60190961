"""The book of alerts: a cause is told once when it has lasted, and once when it is over."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alerts.book import MAX_OPEN, AlertBook, Fact, Kind

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
OFFLINE = Fact(Kind.AGENT_OFFLINE, "hq", "hq is offline", "start it")
EXPIRES = Fact(Kind.CERTIFICATE_EXPIRES, "tunnel", "it ends", "renew it")


def at(seconds):
    return START + timedelta(seconds=seconds)


def run(book, steps):
    """Observe (second, facts) and return what was told, as (second, subject, resolved)."""
    return [
        (second, alert.subject, alert.resolved_at is not None)
        for second, facts in steps
        for alert in book.observe(facts, at(second))
    ]


def test_an_agent_counts_as_offline_after_two_minutes_and_is_told_once():
    steps = [(second, [OFFLINE]) for second in range(0, 600, 5)]
    assert run(AlertBook(), steps) == [(120, "hq", False)]


def test_one_that_is_back_sooner_is_never_told():
    steps = [(0, [OFFLINE]), (119, [OFFLINE]), (120, []), (125, [OFFLINE]), (240, [OFFLINE]), (245, [OFFLINE])]
    assert run(AlertBook(), steps) == [(245, "hq", False)]


def test_it_is_over_after_a_minute_and_flapping_says_nothing():
    flapping = [(second, [OFFLINE] if second % 100 else []) for second in range(200, 1000, 50)]
    steps = [(0, [OFFLINE]), (120, [OFFLINE]), *flapping, (1000, []), (1059, []), (1060, []), (1100, [])]
    assert run(AlertBook(), steps) == [(120, "hq", False), (1060, "hq", True)]


def test_what_does_not_heal_by_waiting_is_told_at_once():
    assert run(AlertBook(), [(0, [EXPIRES]), (1, [EXPIRES]), (2, [])]) == [(0, "tunnel", False), (2, "tunnel", True)]


def test_a_cause_that_comes_back_is_another_alert():
    book = AlertBook()
    first, _, second = [book.observe(facts, at(n)) for n, facts in enumerate(([EXPIRES], [], [EXPIRES]))]
    assert first[0].id != second[0].id


def test_of_what_is_unknown_nothing_ends():
    book = AlertBook()
    book.observe([Fact(Kind.DEAD_LETTERS, "t", "x", "y")], START)
    assert book.observe([], at(5), unknown=frozenset({Kind.DEAD_LETTERS})) == []
    assert [alert.resolved_at for alert in book.observe([], at(10))] == [at(10)]


def test_a_restart_tells_nothing_again():
    before = AlertBook()
    before.observe([OFFLINE], START)
    before.observe([OFFLINE, EXPIRES], at(120))
    after = AlertBook()
    after.restore(json.loads(json.dumps(before.rows())))
    assert after.alerts() == before.alerts()
    assert run(after, [(130, [OFFLINE, EXPIRES]), (300, [OFFLINE, EXPIRES])]) == []
    assert run(after, [(310, [EXPIRES]), (370, [EXPIRES])]) == [(370, "hq", True)]


@pytest.mark.parametrize("row", [{}, {"id": "x"}, {"id": "x", "kind": "none", "resolved_at": None}, "text"])
def test_a_broken_memory_is_an_error_of_the_kinds_that_are_announced(row):
    with pytest.raises((KeyError, TypeError, ValueError)):
        AlertBook().restore([row])


def test_there_is_an_end_to_how_many_are_open():
    book = AlertBook()
    facts = [Fact(Kind.CERTIFICATE_EXPIRES, str(number), "", "") for number in range(MAX_OPEN + 10)]
    assert len(book.observe(facts, START)) == MAX_OPEN
    assert len(book.alerts()) == MAX_OPEN


@given(st.lists(st.tuples(st.integers(1, 200), st.sets(st.sampled_from([OFFLINE, EXPIRES])))))
def test_whatever_happens_opening_and_ending_take_turns(steps):
    book, now, open_ids = AlertBook(), START, {}
    for seconds, facts in steps:
        now += timedelta(seconds=seconds)
        for alert in book.observe(facts, now):
            if alert.resolved_at is None:
                assert alert.subject not in open_ids
                open_ids[alert.subject] = alert.id
            else:
                assert open_ids.pop(alert.subject) == alert.id
        assert {alert.subject: alert.id for alert in book.alerts()} == open_ids
