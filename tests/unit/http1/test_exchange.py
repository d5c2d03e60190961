"""How an answer is framed, without a socket."""

import pytest

from http1.errors import UnsendableHead
from http1.exchange import Exchange
from http1.messages import STREAMED, RequestHead


class Socket:
    def __init__(self, *, last=False):
        self.last = last
        self.sent = b""
        self.ends = []

    def is_last_answer(self, _):
        return self.last

    def send(self, pieces):
        self.sent += b"".join(pieces)

    def answer_done(self, _):
        self.ends.append("done")

    def answer_broken(self, *, reset):
        self.ends.append("reset" if reset else "close")


def exchange(method=b"GET", *, http_1_0=False, last=False):
    socket = Socket(last=last)
    return socket, Exchange(socket, RequestHead(method, b"/", [], -2, http_1_0=http_1_0), "127.0.0.1", 0.0)


def test_a_fixed_answer():
    socket, subject = exchange()
    subject.respond(200, [(b"A", b"b")], 3)
    subject.write(b"ab")
    subject.write(b"c")
    subject.finish()
    assert socket.sent == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc"
    assert (socket.ends, subject.is_over) == (["done"], True)


def test_empty_writes_do_not_end_a_chunked_answer():
    socket, subject = exchange()
    subject.respond(200, [], STREAMED)
    subject.write(b"")
    subject.write(b"abc")
    assert socket.sent.endswith(b"\r\n\r\n3\r\nabc\r\n")
    subject.finish()
    assert socket.sent.endswith(b"3\r\nabc\r\n0\r\n\r\n")


@pytest.mark.parametrize("writes", [[b"ab"], [b"abcd"], [b"abc", b"d"], []])
def test_another_length_than_declared_closes_instead_of_ending(writes):
    socket, subject = exchange()
    subject.respond(200, [], 3)
    for data in writes:
        subject.write(data)
    subject.finish()
    assert socket.ends == ["close"]
    assert len(socket.sent.partition(b"\r\n\r\n")[2]) <= 3


def test_an_abort_without_framing_is_a_reset_and_any_other_a_close():
    socket, subject = exchange(http_1_0=True)
    subject.respond(200, [], STREAMED)
    subject.abort()
    assert socket.ends == ["reset"]
    socket, subject = exchange()
    subject.respond(200, [], STREAMED)
    subject.abort()
    assert socket.ends == ["close"]


def test_an_answer_before_its_head_closes():
    for step in ("write", "finish"):
        socket, subject = exchange()
        subject.write(b"x") if step == "write" else subject.finish()
        assert socket.ends == ["close"]


def test_only_the_first_answer_counts_and_nothing_follows_its_end():
    socket, subject = exchange()
    subject.respond(200, [], 0)
    subject.respond(500, [], 0)
    subject.finish()
    sent = socket.sent
    subject.write(b"x")
    subject.finish()
    subject.abort()
    subject.pause_body()
    subject.resume_body()
    assert (socket.sent, socket.ends, sent.count(b"HTTP/1.1")) == (sent, ["done"], 1)


def test_a_head_that_cannot_be_sent_leaves_room_for_another():
    socket, subject = exchange(last=True)
    with pytest.raises(UnsendableHead):
        subject.respond(200, [(b"A", b"b\r\nc")], 0)
    subject.respond(502, [], 0)
    assert socket.sent == b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_a_body_where_none_can_be_is_dropped(method, status):
    socket, subject = exchange(method)
    subject.respond(status, [], 3)
    subject.write(b"abc")
    subject.finish()
    assert socket.sent.endswith(b"\r\n\r\n")
    assert socket.ends == ["done"]
