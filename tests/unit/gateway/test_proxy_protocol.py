import socket
import struct

import pytest

from gateway.proxy_protocol import (
    HEADER_BYTES,
    MAX_HEADER_BYTES,
    SIGNATURE,
    ProxyHeader,
    ProxyHeaderRejected,
    header_length,
    may_begin,
    read_header,
)

V4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 40000, 443)


def header(command=0x21, family=0x11, content=V4):
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(content)) + content


def v6(text):
    return socket.inet_pton(socket.AF_INET6, text) * 2 + struct.pack("!HH", 40000, 443)


def test_the_caller_is_the_source_address():
    assert read_header(header()) == ProxyHeader(HEADER_BYTES + 12, "203.0.113.9")
    assert read_header(header(family=0x21, content=v6("2001:db8::9"))).caller == "2001:db8::9"


def test_an_ipv4_address_in_ipv6_clothes_is_the_ipv4_one():
    assert read_header(header(family=0x21, content=v6("::ffff:203.0.113.9"))).caller == "203.0.113.9"


def test_notes_of_the_load_balancer_belong_to_the_header_and_what_follows_does_not():
    told = read_header(header(content=V4 + b"\x04\x00\x03abc") + b"GET / HTTP/1.1\r\n")
    assert told == ProxyHeader(HEADER_BYTES + 12 + 6, "203.0.113.9")


@pytest.mark.parametrize(("command", "family"), [(0x20, 0x11), (0x20, 0x00), (0x21, 0x00), (0x21, 0x31), (0x21, 0x12)])
def test_a_health_check_and_what_is_no_tcp_name_nobody(command, family):
    assert read_header(header(command, family)).caller is None


@pytest.mark.parametrize(
    "broken",
    [
        header()[:-1],
        header()[:15],
        header(command=0x11),
        header(command=0x22),
        header(content=V4[:11]),
        header(family=0x21, content=V4),
        b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 443\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_breaks_the_specification_is_refused(broken):
    with pytest.raises(ProxyHeaderRejected):
        read_header(broken)


def test_a_header_longer_than_any_load_balancers_is_refused_before_it_is_waited_for():
    head = SIGNATURE + b"\x21\x11" + struct.pack("!H", MAX_HEADER_BYTES)
    with pytest.raises(ProxyHeaderRejected, match=str(MAX_HEADER_BYTES + HEADER_BYTES)):
        header_length(head)


def test_tls_and_http_are_told_apart_by_their_first_byte():
    assert not may_begin(b"\x16")
    assert not may_begin(b"G")
    assert not may_begin(b"\r\n\r\n\x00\r\nQUIX")
    assert all(may_begin(header()[:size]) for size in range(len(header())))
