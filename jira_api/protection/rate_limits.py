"""What a 429 of Jira says about when to come back (docs/facts.md J8.2).

`Retry-After` is on healthy answers of a limited user too (0): only the status says that a limit was met.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

Headers = list[tuple[bytes, bytes]]

DEFAULT_SECONDS: Final = 1.0
MAX_SECONDS: Final = 120.0  # whatever it says: after this long it is worth asking again
MAX_DIGITS: Final = 9


def pause_seconds(headers: Headers) -> float:
    """Return for how long to send nothing after a 429 with these headers, at least one second."""
    fields = {name.lower(): value.strip() for name, value in headers}
    found = _seconds(fields.get(b"retry-after"), fields.get(b"date"))
    if not found:
        found = _seconds(fields.get(b"x-ratelimit-reset"), fields.get(b"date"))
    if not found:  # Data Center: one filling of the bucket
        found = _seconds(fields.get(b"x-ratelimit-interval-seconds"), None)
    return min(max(found or DEFAULT_SECONDS, DEFAULT_SECONDS), MAX_SECONDS)


def with_retry_after(headers: Headers) -> Headers:
    """Return the headers of a 429, with a `Retry-After` if Jira's had none."""
    if any(name.lower() == b"retry-after" for name, _ in headers):
        return headers
    return [*headers, (b"Retry-After", b"%d" % round(pause_seconds(headers)))]


def _seconds(value: bytes | None, date: bytes | None) -> float | None:
    """Read seconds, or a moment as seconds after the answer's own `date`: Jira's clock need not be ours."""
    if not value:
        return None
    if value.isdigit():
        return float(value) if len(value) <= MAX_DIGITS else MAX_SECONDS
    moment, sent_at = _moment(value), _moment(date or b"")
    return None if moment is None or sent_at is None else (moment - sent_at).total_seconds()


def _moment(value: bytes) -> datetime | None:
    """Read an HTTP date or an ISO one (Cloud's `X-RateLimit-Reset`)."""
    text = value.decode("latin-1")
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
        except (ValueError, TypeError, OverflowError):
            continue
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None
