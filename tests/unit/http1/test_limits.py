"""The account of a listener's sockets."""

from http1.limits import OpenSockets


class Socket:
    def __init__(self):
        self.calls = []

    def close_when_idle(self):
        self.calls.append("close when idle")

    def abort(self):
        self.calls.append("abort")


def test_sockets_beyond_the_cap_and_after_the_drain_are_refused_and_counted():
    sockets = OpenSockets()
    first = Socket()
    assert sockets.admit(first, 1)
    assert not sockets.admit(Socket(), 1)
    sockets.drain()
    assert not sockets.admit(Socket(), 5)
    assert (sockets.refused, sockets.open, first.calls) == (2, {first}, ["close when idle"])


def test_abort_reaches_every_socket():
    sockets = OpenSockets()
    pair = [Socket(), Socket()]
    for socket in pair:
        sockets.admit(socket, 5)
    sockets.abort()
    assert [socket.calls for socket in pair] == [["abort"], ["abort"]]
