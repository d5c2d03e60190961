"""What a link asks of its socket when a transfer begins."""

import socket
from types import SimpleNamespace

from tests.support.tunnel_pair import Pair
from tunnel.frames import KIB
from tunnel.heads import STREAMED, RequestHead
from tunnel.link import BULK_PAUSE, Link, restart_bbr

PUT = RequestHead(b"PUT", b"/", [], STREAMED)


class Socket:
    """Has a congestion control, and writes down which ones were asked for."""

    def __init__(self, control):
        self.control = control
        self.asked = []

    def getsockopt(self, _level, _option, _size):
        return self.control.ljust(16, b"\0")

    def setsockopt(self, _level, option, value):
        assert option == socket.TCP_CONGESTION
        self.asked.append(value)


def test_bbr_begins_anew_by_way_of_another_one():
    sock = Socket(b"bbr")
    restart_bbr(sock)
    assert sock.asked == [b"reno", b"bbr"]


def test_any_other_congestion_control_is_left_alone():
    sock = Socket(b"cubic")
    restart_bbr(sock)
    restart_bbr(None)
    assert sock.asked == []


def test_bbr_begins_anew_with_the_first_transfer_after_a_pause():
    sock, pair = Socket(b"bbr"), Pair()
    websocket = SimpleNamespace(transport=SimpleNamespace(get_extra_info=lambda _: sock))
    link = Link(websocket, pair.gateway, lambda *_: None)

    def send(size):
        stream = link.open_stream(PUT, SimpleNamespace(on_writable=lambda: None))
        stream.credit = 10**6
        stream.send_data(b"x" * size)
        while pair.gateway.take_message():
            pass
        return len(sock.asked) // 2

    assert send(32 * KIB) == 0
    assert send(256 * KIB) == 1
    pair.now += BULK_PAUSE / 2
    assert send(256 * KIB) == 1
    pair.now += BULK_PAUSE + 1
    assert send(32 * KIB) == 1
    assert send(256 * KIB) == 2
