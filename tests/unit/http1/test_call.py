"""The sending half of a request, without a socket."""

from http1.call import HELD_BYTES, Call
from http1.errors import FailureKind, Progress
from http1.messages import NO_BODY, STREAMED


class Socket:
    def __init__(self):
        self.sent = b""
        self.calls = []

    def send(self, pieces):
        self.sent += b"".join(pieces)

    def request_done(self):
        self.calls.append("done")

    def abandon(self):
        self.calls.append("abandon")

    def pause(self):
        self.calls.append("pause")

    def resume(self):
        self.calls.append("resume")


class Receiver:
    def __init__(self):
        self.writable = 0
        self.failure = None

    def on_writable(self):
        self.writable += 1

    def on_failure(self, failure):
        assert self.failure is None
        self.failure = failure


def call(body):
    receiver = Receiver()
    return receiver, Call(b"POST", b"HEAD\r\n\r\n", body, receiver)


def test_what_is_written_before_there_is_a_socket_leaves_with_it():
    _, subject = call(STREAMED)
    subject.write(b"abc")
    subject.finish([(b"A", b"1")])
    subject.pause()
    socket = Socket()
    subject.attach(socket)
    assert socket.sent == b"HEAD\r\n\r\n3\r\nabc\r\n0\r\nA: 1\r\n\r\n"
    assert socket.calls == ["pause", "done"]


def test_what_is_held_without_a_socket_is_bounded_by_writable():
    receiver, subject = call(STREAMED)
    subject.write(b"x" * HELD_BYTES)
    assert not subject.writable
    subject.attach(Socket())
    assert (subject.writable, receiver.writable) == (True, 1)


def test_a_request_without_a_body_is_complete_at_once_and_finish_is_harmless():
    for body in (NO_BODY, 0):
        _, subject = call(body)
        socket = Socket()
        subject.attach(socket)
        subject.finish()
        assert (socket.sent, socket.calls) == (b"HEAD\r\n\r\n", ["done"])


def test_a_body_of_known_length_is_complete_with_its_last_byte():
    _, subject = call(2)
    socket = Socket()
    subject.attach(socket)
    subject.write(b"ab")
    assert (subject.request_complete, socket.calls) == (True, ["done"])
    subject.finish()
    assert socket.calls == ["done"]


def test_another_length_than_declared_fails_the_call_and_its_socket():
    for writes in ([b"a"], [b"abc"], [b"ab", b"c"]):
        receiver, subject = call(2)
        socket = Socket()
        subject.attach(socket)
        for data in writes:
            subject.write(data)
        subject.finish()
        assert receiver.failure.kind is FailureKind.PROTOCOL
        assert "abandon" in socket.calls


def test_an_abort_before_the_socket_drops_what_was_held():
    receiver, subject = call(2)
    subject.abort()
    subject.write(b"ab")
    assert (subject.is_over, subject.progress, receiver.failure) == (True, Progress.NOT_SENT, None)


def test_an_abort_after_the_end_leaves_the_socket_to_its_next_call():
    _, subject = call(NO_BODY)
    socket = Socket()
    subject.attach(socket)
    subject.is_over = True
    subject.abort()
    assert "abandon" not in socket.calls


def test_a_call_fails_once():
    receiver, subject = call(NO_BODY)
    subject.fail(FailureKind.UNREACHABLE, "first")
    subject.fail(FailureKind.CLOSED, "second")
    assert (receiver.failure.reason, receiver.failure.progress) == ("first", Progress.NOT_SENT)
