"""What leaves together."""

from http1.outbox import FLUSH_AT, Outbox


class Wire:
    """A transport and a loop in one: writes are recorded, callbacks run on demand."""

    def __init__(self):
        self.writes = []
        self.callbacks = []

    def write(self, data):
        self.writes.append(data)

    def writelines(self, pieces):
        self.writes.append(b"".join(pieces))

    def call_soon(self, callback):
        self.callbacks.append(callback)

    def turn(self):
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


def test_what_is_sent_in_one_turn_leaves_in_one_write():
    wire = Wire()
    outbox = Outbox(wire, wire)
    outbox.send([b"a"])
    outbox.send([b"b", b"c"])
    assert (wire.writes, len(wire.callbacks)) == ([], 1)
    wire.turn()
    outbox.send([b"d"])
    wire.turn()
    wire.turn()
    assert wire.writes == [b"abc", b"d"]


def test_a_flush_does_not_wait_and_leaves_nothing_for_the_end_of_the_turn():
    wire = Wire()
    outbox = Outbox(wire, wire)
    outbox.send([b"a"])
    outbox.flush()
    wire.turn()
    assert wire.writes == [b"a"]


def test_much_does_not_wait_for_the_end_of_the_turn():
    wire = Wire()
    outbox = Outbox(wire, wire)
    outbox.send([b"head", b"x" * FLUSH_AT])
    assert [len(data) for data in wire.writes] == [FLUSH_AT + 4]


def test_what_is_cleared_never_leaves():
    wire = Wire()
    outbox = Outbox(wire, wire)
    outbox.send([b"a"])
    outbox.clear()
    wire.turn()
    assert wire.writes == []


def test_a_loop_is_asked_once_for_all_sockets_and_trouble_of_one_is_its_own():
    loop, good = Wire(), [Wire(), Wire()]
    said = []
    loop.call_exception_handler = said.append
    bad = Wire()
    bad.write = None
    outboxes = [Outbox(loop, wire) for wire in (good[0], bad, good[1])]
    for outbox in outboxes:
        outbox.send([b"a"])
        outbox.send([b"b"])
    assert len(loop.callbacks) == 1
    loop.turn()
    assert [wire.writes for wire in good] == [[b"ab"], [b"ab"]]
    assert [type(context["exception"]) for context in said] == [TypeError]
