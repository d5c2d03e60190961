"""How names and spans of time are written, for every way of asking. Pure.

Agents, connections and tokens share one grammar of names: they appear in paths, host names and certificates.
"""

import re
from datetime import timedelta

from gateway.unacceptable import Unacceptable, literally

NAME_PATTERN = "[a-z0-9][a-z0-9-]{0,62}"
NAME_RULE = "use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit"
DURATION_PATTERN = "[1-9][0-9]{0,5}[dhms]"
MAX_DURATION = timedelta(days=3650)

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def check_name(field: str, text: str) -> str:
    """Return a name that follows the grammar; raises Unacceptable."""
    if not _NAME.fullmatch(text):
        raise Unacceptable(field, literally(f"{text!r} is not a name: {NAME_RULE}"))
    return text


def parse_duration(field: str, text: str) -> timedelta:
    """Return 90d, 12h, 30m or 45s as a timedelta; raises Unacceptable."""
    duration = timedelta(**{_UNITS[text[-1]]: int(text[:-1])}) if _DURATION.fullmatch(text) else None
    if duration is None or duration > MAX_DURATION:
        problem = f"{text!r} is not a duration: write it as 90d, 12h or 30m, at most 3650d"
        raise Unacceptable(field, literally(problem))
    return duration


def parse_expiry(field: str, text: str) -> timedelta | None:
    """Return a duration, or None for `never`; raises Unacceptable."""
    return None if text == "never" else parse_duration(field, text)
