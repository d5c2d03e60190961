"""The limit starts at the maximum, falls on signs of too much only, and rises again."""

import pytest

from jira_api.protection.concurrency import LEAST, REST_SECONDS, Concurrency

QUICK, SLOW = 0.05, 0.4
KIND = (b"GET", ("rest", "api", "2", "issue"))


def learned(maximum=64):
    made = Concurrency(maximum)
    for _ in range(50):
        made.answered(KIND, QUICK, 1, 0.0)
    return made


def answers(concurrency, seconds, *, count=200, in_flight=60, start=1.0, kind=KIND):
    for number in range(count):
        concurrency.answered(kind, seconds, in_flight, start + number * 0.01)


def test_it_starts_at_the_maximum_and_stays_there_while_jira_is_well():
    concurrency = learned()
    answers(concurrency, QUICK)

    assert concurrency.limit == 64


def test_answers_that_take_twice_as_long_under_load_lower_it():
    concurrency = learned()
    answers(concurrency, SLOW)

    assert 20 < concurrency.limit < 60


def test_the_same_answers_without_load_are_the_new_baseline():
    concurrency = learned()
    answers(concurrency, SLOW, in_flight=16)
    assert concurrency.limit == 64
    answers(concurrency, SLOW, start=10.0)

    assert concurrency.limit == 64


def test_another_kind_of_request_has_its_own_baseline():
    concurrency = learned()
    for _ in range(50):
        concurrency.answered("search", 2.0, 1, 0.0)
    answers(concurrency, 2.0, kind="search")

    assert concurrency.limit == 64


def test_a_few_slow_answers_among_many_are_no_sign():
    concurrency = learned()
    for number in range(200):
        concurrency.answered(KIND, SLOW if number % 3 == 0 else QUICK, 60, number * 0.02)

    assert concurrency.limit == 64


def test_a_delay_that_hurts_nobody_is_no_sign():
    concurrency = Concurrency(64)
    for _ in range(50):
        concurrency.answered(KIND, 0.001, 1, 0.0)
    answers(concurrency, 0.05)

    assert concurrency.limit == 64


def test_it_falls_once_for_everything_that_goes_wrong_at_the_same_time():
    concurrency = Concurrency(64)
    for _ in range(30):
        concurrency.troubled(0.5, 10.0)
    assert concurrency.limit == 32

    concurrency.troubled(0.5, 10.0 + REST_SECONDS)
    assert concurrency.limit == 16


@pytest.mark.parametrize(("maximum", "least"), [(64, LEAST), (2, 2), (1, 1)])
def test_it_never_falls_to_nothing(maximum, least):
    concurrency = Concurrency(maximum)
    for number in range(100):
        concurrency.troubled(0.5, number * 2.0 + 1)

    assert concurrency.limit == least


def test_it_rises_by_one_per_round_of_good_answers_up_to_the_maximum():
    concurrency = learned()
    concurrency.troubled(0.5, 5.0)
    answers(concurrency, QUICK, count=33, start=6.0)
    assert concurrency.limit == 33
    answers(concurrency, QUICK, count=5000, start=7.0)

    assert concurrency.limit == 64


def test_slow_answers_do_not_raise_it():
    concurrency = learned()
    concurrency.troubled(0.5, 5.0)
    answers(concurrency, SLOW, count=15, in_flight=30, start=5.1)

    assert concurrency.limit == 32


def test_what_is_remembered_is_bounded():
    concurrency = Concurrency(4)
    for number in range(1000):
        concurrency.answered(number, 2.0, 4, 0.0)

    assert repr(concurrency) == "<Concurrency 4/4 kinds=256>"
