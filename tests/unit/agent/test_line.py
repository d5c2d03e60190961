"""Reading TCP_INFO."""

import socket
import struct

from agent.line import LineCounters, parse_line, read_line


def test_the_counters_are_found_at_their_places():
    raw = bytearray(232)
    struct.pack_into("=I", raw, 68, 50_000)
    struct.pack_into("=I", raw, 100, 7)
    struct.pack_into("=I", raw, 136, 1234)
    struct.pack_into("=Q", raw, 168, 2_500_000)

    assert parse_line(bytes(raw)) == LineCounters(segments=1234, retransmitted=7, busy_seconds=2.5, rtt=0.05)


def test_an_older_kernel_tells_nothing():
    assert parse_line(bytes(104)) is None


def test_what_is_no_tcp_socket_tells_nothing():
    one, other = socket.socketpair()
    with one, other:
        assert read_line(one) is None
    assert read_line(None) is None
