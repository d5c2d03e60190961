"""What the kernel knows about the line under a link: Linux's TCP_INFO, read as a few numbers.

Knows nothing of links. Elsewhere than on Linux there is nothing to read, and the number of links stays as it is.
"""

import socket
from dataclasses import dataclass
from struct import Struct

_TCP_INFO = 11  # the socket module names it only where the C library does
_LENGTH = 192
# struct tcp_info of linux/tcp.h, since 4.2: rtt (microseconds), total_retrans, segs_out, and since 4.10 busy_time.
_RTT = Struct("=68xI")
_RETRANSMITTED = Struct("=100xI")
_SEGMENTS_OUT = Struct("=136xI")
_BUSY = Struct("=168xQ")


@dataclass(frozen=True, slots=True)
class LineCounters:
    """Counters since the socket was opened, and the smoothed round trip in seconds."""

    segments: int
    retransmitted: int
    busy_seconds: float
    rtt: float


def read_line(sock: socket.socket | None) -> LineCounters | None:
    """Return the counters of a socket, None where the system does not tell."""
    if sock is None:
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LENGTH)
    except OSError:
        return None
    return parse_line(raw)


def parse_line(raw: bytes) -> LineCounters | None:
    """Return the counters of a ``struct tcp_info``, None when it is an older, shorter one."""
    if len(raw) < _BUSY.size:
        return None
    return LineCounters(
        segments=_SEGMENTS_OUT.unpack_from(raw)[0],
        retransmitted=_RETRANSMITTED.unpack_from(raw)[0],
        busy_seconds=_BUSY.unpack_from(raw)[0] / 1e6,
        rtt=_RTT.unpack_from(raw)[0] / 1e6,
    )
