"""For how long a 429 asks us to wait, in all the ways that Jira says it."""

import pytest

from jira_api.protection.rate_limits import pause_seconds, with_retry_after

DATE = (b"Date", b"Mon, 23 Nov 2026 18:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], 1),
        ([(b"Retry-After", b"7")], 7),
        ([(b"retry-after", b" 7 ")], 7),
        ([(b"Retry-After", b"0")], 1),
        ([(b"Retry-After", b"0"), (b"X-RateLimit-Interval-Seconds", b"3")], 3),
        ([(b"X-RateLimit-Interval-Seconds", b"60"), (b"X-RateLimit-FillRate", b"5")], 60),
        ([(b"Retry-After", b"2"), (b"X-RateLimit-Interval-Seconds", b"60")], 2),
        ([(b"Retry-After", b"Mon, 23 Nov 2026 18:00:30 GMT"), DATE], 30),
        ([(b"Retry-After", b"Mon, 23 Nov 2026 17:00:30 GMT"), DATE], 1),
        ([(b"Retry-After", b"Mon, 23 Nov 2026 18:00:30 GMT")], 1),
        ([(b"X-RateLimit-Reset", b"2026-11-23T18:00:09Z"), DATE], 9),
        ([(b"X-RateLimit-Reset", b"2026-11-23T18:00Z"), (b"Date", b"nonsense")], 1),
        ([(b"Retry-After", b"86400")], 120),
        ([(b"Retry-After", b"9" * 5000)], 120),
        ([(b"Retry-After", b"-5")], 1),
        ([(b"Retry-After", b"\xff soon")], 1),
    ],
)
def test_the_pause_is_what_the_answer_says_within_bounds(headers, seconds):
    assert pause_seconds(headers) == seconds


def test_a_caller_is_always_told_when_to_come_back():
    assert with_retry_after([(b"Retry-After", b"7")]) == [(b"Retry-After", b"7")]
    interval = (b"X-RateLimit-Interval-Seconds", b"3")
    assert with_retry_after([interval]) == [interval, (b"Retry-After", b"3")]
