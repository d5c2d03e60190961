"""When nothing is sent to a Jira any more, and when again."""

from jira_api.protection.breaker import FAILURES_TO_OPEN, Breaker


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def breaker():
    clock = Clock()
    made = Breaker(clock)
    doubts = []
    made.on_doubt = lambda: doubts.append(clock.now)
    return made, clock, doubts


def test_hangs_in_a_row_open_it_and_ask_for_a_probe_once():
    made, clock, doubts = breaker()
    opened = [made.failed(clock.now - 60, f"hang {number}") for number in range(FAILURES_TO_OPEN + 3)]

    assert opened == [False] * (FAILURES_TO_OPEN - 1) + [True] + [False] * 3
    assert (made.opened_at, made.reason, doubts) == (100.0, f"hang {FAILURES_TO_OPEN - 1}", [100.0])


def test_refusals_of_one_moment_are_no_reason_but_those_of_a_second_are():
    made, clock, _ = breaker()
    for _ in range(50):
        assert not made.failed(clock.now, "refused")
    clock.now += 1.0

    assert made.failed(clock.now, "refused")


def test_an_answer_between_them_starts_the_count_anew():
    made, clock, _ = breaker()
    for _ in range(10):
        for _ in range(FAILURES_TO_OPEN - 1):
            made.failed(clock.now - 60, "hang")
        made.answered()

    assert made.reason is None


def test_an_answer_closes_it():
    made, _, doubts = breaker()
    assert made.open("Jira is starting")
    assert not made.open("Jira is in maintenance")
    assert (made.reason, repr(made)) == ("Jira is in maintenance", "<Breaker open failures=0>")
    made.answered()

    assert (made.reason, made.opened_at, len(doubts)) == (None, None, 1)
