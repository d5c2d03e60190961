"""Jira's dates: read as instants, and written as JQL wants them, which is in the account's own time zone.

JQL compares to the minute and knows no offsets, so a moment is floored, and moved back where the local time is
uncertain: a sweep may find too much, never too little.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DATE: Final = 40  # characters
_LAST: Final = 253_402_300_799_999  # milliseconds, the end of the year 9999
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}", re.ASCII)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
# Jira counts a relative time from when it reads the query, and that is later than when it was written.
_ON_THE_WAY: Final = 2  # minutes


def parse_moment(text: object) -> datetime | None:
    """Return the instant (in UTC) of a date with an offset: `2026-08-25T11:31:57.000+0800`, also `Z` and `+08:00`."""
    if not isinstance(text, str) or len(text) > _MAX_DATE or not text.isascii() or "T" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def moment_of(stamp: object) -> datetime | None:
    """Return the instant of a number of milliseconds since the epoch."""
    usable = type(stamp) is int and 0 <= stamp <= _LAST
    return EPOCH + timedelta(milliseconds=stamp) if usable and isinstance(stamp, int) else None


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since the epoch, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def jql_moment(moment: datetime, zone: str | None, now: datetime) -> str:
    """Return what JQL compares with (without quotes) for "not before `moment`": local time, never later than it.

    Without a `zone` that is known here the answer is relative (`-90m`), counted from `now` on Jira's clock.
    """
    local = _zone_info(zone)
    if local is None:
        minutes = -((moment - now) // _MINUTE) + _ON_THE_WAY
        return f"-{max(minutes, _ON_THE_WAY)}m"
    wall = moment.astimezone(local).replace(fold=0)
    while _is_uncertain(wall):
        wall -= _HOUR
    return wall.strftime("%Y/%m/%d %H:%M")


def _is_uncertain(wall: datetime) -> bool:
    """Tell whether this local time happens twice or never, as when clocks are changed."""
    return wall.utcoffset() != wall.replace(fold=1).utcoffset()


@lru_cache(maxsize=64)
def _zone_info(name: str | None) -> ZoneInfo | None:
    """Return the rules of a zone, None when they are not known here (a small image may have none at all)."""
    if not name or not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # no such zone, a folder of zones, a file that is none
        return None
