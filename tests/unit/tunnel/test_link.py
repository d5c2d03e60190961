"""What a link asks of its socket when a transfer begins."""

import socket
from types import SimpleNamespace

from tests.support.tunnel_pair import Pair, Recorder
from tunnel.frames import KIB
from tunnel.heads import STREAMED, RequestHead, share_fields
from tunnel.link import BULK_PAUSE, Link
from tunnel.sockets import restart_bbr

PUT = RequestHead(b"PUT", b"/", [], STREAMED)
COMMON = share_fields({b"caller": b"ci"}, [(b"Authorization", b"Basic c2VjcmV0")])
GET = RequestHead(b"GET", b"/", COMMON.headers, meta={b"id": b"1", **COMMON.meta}, shared=COMMON)


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


def test_what_came_with_requests_is_forgotten_at_every_look_however_quiet_the_link():
    pair, heads = Pair(), []

    def accept(stream, head):
        heads.append(head)
        return Recorder(stream)

    link = Link(SimpleNamespace(transport=None), pair.agent, accept)
    for _ in range(2):
        pair.open(GET)
        pair.open(GET)
        link.look()
    first, again, later, _ = (head.shared for head in heads)
    assert again is first
    assert later is not first
