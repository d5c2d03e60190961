"""Waits between dials: jitter, ceilings, what ends an outage."""

import random

from agent.backoff import MAX_RETRY_AFTER_SECONDS, SLOW_SECONDS, STARTING_CEILING_SECONDS, STARTING_DIALS, Backoff


def highest(delay_factor=0.999_999):
    """One that has had a link."""
    return Backoff(dice=lambda: delay_factor, early_dials=0)


def test_a_slot_that_never_had_a_link_dials_a_few_times_sooner():
    backoff = Backoff(dice=lambda: 0.999_999)

    waits = [backoff.failed(float(second)) for second in range(STARTING_DIALS + 3)]

    assert max(waits[:STARTING_DIALS]) < STARTING_CEILING_SECONDS
    assert [round(wait) for wait in waits[STARTING_DIALS:]] == [2, 4, 8]


def test_who_had_a_link_or_is_asked_for_patience_does_not():
    for waits_before in ("opened", "asked"):
        backoff = Backoff(dice=lambda: 0.999_999)
        if waits_before == "opened":
            backoff.opened(0.0)
        else:
            assert round(backoff.failed(0.0, retry_after=3.0)) == 5

        assert backoff.failed(1.0) > 1.9


def test_the_first_retry_is_jittered_too():
    waits = {Backoff(dice=random.Random(seed).random, early_dials=0).failed(0.0) for seed in range(50)}

    assert len(waits) == 50
    assert all(0 <= wait < 2 for wait in waits)


def test_the_ceiling_doubles_up_to_eight_seconds():
    backoff = highest()

    waits = [round(backoff.failed(float(second))) for second in range(6)]

    assert waits == [2, 4, 8, 8, 8, 8]


def test_well_after_ten_minutes_of_outage_the_ceiling_is_a_minute():
    backoff = highest()
    for second in range(30):
        backoff.failed(float(second))

    assert round(backoff.failed(610.0)) == 8
    assert round(backoff.failed(660.0)) == 60


def test_a_link_that_drops_within_a_minute_does_not_end_the_outage():
    backoff = highest()
    backoff.failed(0.0)
    backoff.failed(1.0)
    backoff.opened(2.0)

    assert round(backoff.failed(61.9)) == 8


def test_a_link_that_was_stable_for_a_minute_ends_the_outage():
    backoff = highest()
    for second in range(5):
        backoff.failed(float(second))
    backoff.opened(10.0)

    assert round(backoff.failed(70.0)) == 2


def test_a_second_failure_after_a_stable_link_is_still_part_of_the_new_outage():
    backoff = highest()
    backoff.opened(0.0)
    backoff.failed(100.0)

    assert round(backoff.failed(101.0)) == 4


def test_no_gateway_can_send_an_agent_away_for_good():
    asked = 2.0**32 / 1000
    assert Backoff(dice=lambda: 0.0).failed(0.0, retry_after=asked) == MAX_RETRY_AFTER_SECONDS
    assert Backoff(dice=lambda: 0.0).refused(0.0, retry_after=asked) == MAX_RETRY_AFTER_SECONDS


def test_retry_after_is_obeyed_and_jittered_on_top():
    assert Backoff(dice=lambda: 0.0).failed(0.0, retry_after=7.0) == 7.0
    assert round(highest().failed(0.0, retry_after=7.0)) == 9


def test_a_refusal_waits_a_minute_or_two_however_often_it_happens():
    for dice in (0.0, 0.5, 0.999):
        backoff = Backoff(dice=lambda dice=dice: dice)

        waits = [backoff.refused(float(second)) for second in range(5)]

        assert all(SLOW_SECONDS[0] <= wait <= SLOW_SECONDS[1] for wait in waits)


def test_a_year_of_failures_does_not_overflow():
    backoff = highest()
    for second in range(5000):
        backoff.failed(float(second))

    assert round(backoff.failed(5000.0)) == 60
