"""What Linux says of its clock: whether somebody keeps it (adjtimex(2)). None where it does not tell."""

import ctypes

_BYTES = 208
"""More than any struct timex has."""


def clock_status() -> int | None:
    """Return the status bits of the kernel's clock, without changing anything."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    buffer = ctypes.create_string_buffer(_BYTES)  # modes = 0: read only
    if adjtimex(buffer) < 0:
        return None
    # struct timex: modes (int, padded to a long), offset, freq, maxerror, esterror (longs), then status (int).
    at = 5 * ctypes.sizeof(ctypes.c_long)
    return ctypes.c_int.from_buffer(buffer, at).value
