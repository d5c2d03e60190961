"""Reading TCP_INFO."""

import socket
import struct

from agent.line import LineCounters, parse_line, read_line


def test_the_counters_are_found_at_their_places():
    raw = bytearray(232)
    struct.pack_into("=I", raw, 68, 50_000)
    struct.pack_into("=I", raw, 100, 7)
    struct.pack_into("=III", raw, 148, 40_000, 600, 1234)
    struct.pack_into("=I", raw, 224, 9)

    assert parse_line(bytes(raw)) == LineCounters(1234, 7, 600, 9, rtt=0.05, least_rtt=0.04)


def test_a_kernel_that_counts_no_disorder_tells_of_none():
    raw = bytearray(192)
    struct.pack_into("=III", raw, 148, 40_000, 600, 1234)

    assert parse_line(bytes(raw)) == LineCounters(1234, 0, 600, 0, rtt=0.0, least_rtt=0.04)


def test_an_older_kernel_tells_nothing():
    assert parse_line(bytes(104)) is None


def test_what_is_no_tcp_socket_tells_nothing():
    one, other = socket.socketpair()
    with one, other:
        assert read_line(one) is None
    assert read_line(None) is None


def test_a_socket_that_is_closed_tells_nothing():
    """Its link has not ended yet: the supervisor still asks."""

    class Closed:
        def getsockopt(self, *_):
            raise ValueError("negative file descriptor")  # as uvloop's pseudo socket does

    assert read_line(Closed()) is None
