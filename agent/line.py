"""What the kernel knows about the line under a link: Linux's TCP_INFO, read as a few numbers.

Knows nothing of links. Elsewhere than on Linux there is nothing to read, and the number of links stays as it is.
"""

import socket
from dataclasses import dataclass
from struct import Struct

_TCP_INFO = 11  # the socket module names it only where the C library does
_LENGTH = 232
# struct tcp_info of linux/tcp.h, since 4.6: rtt (microseconds), total_retrans, min_rtt, data_segs_in, data_segs_out.
_RTT = Struct("=68xI")
_RETRANSMITTED = Struct("=100xI")
_SEGMENTS = Struct("=148xIII")
_DISORDERED = Struct("=224xI")  # rcv_ooopack, since 5.4


@dataclass(frozen=True, slots=True)
class LineCounters:
    """Segments with data since the socket was opened, both ways; smoothed and least round trip in seconds.

    What the peer had to send again cannot be seen from here, only the segments that overtook it.
    """

    sent: int
    retransmitted: int
    received: int
    disordered: int
    rtt: float
    least_rtt: float


def read_line(sock: socket.socket | None) -> LineCounters | None:
    """Return the counters of a socket, None where the system does not tell."""
    if sock is None:
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LENGTH)
    except (OSError, ValueError):  # uvloop's socket raises ValueError once it is closed, before its link has ended
        return None
    return parse_line(raw)


def parse_line(raw: bytes) -> LineCounters | None:
    """Return the counters of a ``struct tcp_info``, None when it is an older, shorter one."""
    if len(raw) < _SEGMENTS.size:
        return None
    least_rtt, received, sent = _SEGMENTS.unpack_from(raw)
    return LineCounters(
        sent=sent,
        retransmitted=_RETRANSMITTED.unpack_from(raw)[0],
        received=received,
        disordered=_DISORDERED.unpack_from(raw)[0] if len(raw) >= _DISORDERED.size else 0,
        rtt=_RTT.unpack_from(raw)[0] / 1e6,
        least_rtt=least_rtt / 1e6,
    )
