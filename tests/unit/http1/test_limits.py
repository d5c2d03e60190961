"""The account of a listener's sockets."""

from http1.limits import Limits, OpenSockets


class Socket:
    def __init__(self, peer="10.0.0.1", *, busy=False):
        self.peer = peer
        self.busy = busy
        self.calls = []

    def give_way(self):
        self.calls.append("give way")
        return not self.busy

    def close_when_idle(self):
        self.calls.append("close when idle")

    def abort(self):
        self.calls.append("abort")


def test_sockets_beyond_the_cap_and_after_the_drain_are_refused_and_counted():
    sockets = OpenSockets()
    first = Socket()
    assert sockets.admit(first, Limits(max_connections=1))
    assert not sockets.admit(Socket(), Limits(max_connections=1))
    sockets.drain()
    assert not sockets.admit(Socket(), Limits())
    assert (sockets.refused, [*sockets.open], first.calls) == (2, [first], ["close when idle"])


def test_abort_reaches_every_socket():
    sockets = OpenSockets()
    pair = [Socket(), Socket()]
    for socket in pair:
        sockets.admit(socket, Limits())
    sockets.abort()
    assert [socket.calls for socket in pair] == [["abort"], ["abort"]]


def test_the_oldest_that_answers_nothing_gives_way_and_first_of_whoever_has_the_most():
    limits = Limits(max_connections=4, idle_give_way=True)
    sockets = OpenSockets()
    jira, busy, oldest, newest = Socket("jira"), Socket("crowd", busy=True), Socket("crowd"), Socket("crowd")
    for socket in (jira, busy, oldest, newest):
        assert sockets.admit(socket, limits)
    newcomer = Socket("jira")
    assert sockets.admit(newcomer, limits)
    assert [*sockets.open] == [jira, busy, newest, newcomer]
    assert (jira.calls, newest.calls, sockets.refused) == ([], [], 0)


def test_where_all_are_answered_a_newcomer_is_refused():
    limits = Limits(max_connections=1, idle_give_way=True)
    sockets = OpenSockets()
    assert sockets.admit(Socket(busy=True), limits)
    assert not sockets.admit(Socket(), limits)
    assert sockets.refused == 1
