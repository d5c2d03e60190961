"""W3C Trace Context (https://www.w3.org/TR/trace-context/): what a caller's `traceparent` says. Pure.

Without tracing of our own both headers pass to Jira as they came, well-formed or not, as the specification has it for
services that only hand them on (section 3.4 there); what is read here is for the log then.
"""

import re
from dataclasses import dataclass
from typing import Final

from http1.messages import Headers

_FORM: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_VERSION: Final = b"ff"
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceParent:
    """Where a request belongs in a trace: both ids in lower-case hexadecimal, and whether the caller records it."""

    trace_id: str
    parent_id: str
    is_sampled: bool


def read_traceparent(headers: Headers) -> TraceParent | None:
    """Return what the one `traceparent` of a request says; None when there is none, or two, or it is malformed."""
    found: bytes | None = None
    for name, value in headers:
        if len(name) == 11 and name.lower() == b"traceparent":  # the length first: this runs for every request
            if found is not None:
                return None
            found = value
    return None if found is None else parse(found)


def parse(value: bytes) -> TraceParent | None:
    """Return what a value says; of a later version the parts that this one knows (section 4.3 there)."""
    match = _FORM.fullmatch(value)
    if match is None or match[1] == _NO_VERSION or (match[1] == b"00" and match[5] is not None):
        return None
    if not match[2].strip(b"0") or not match[3].strip(b"0"):
        return None
    return TraceParent(match[2].decode(), match[3].decode(), bool(int(match[4], 16) & _SAMPLED))
