"""Callers take turns, and a full queue makes room for whoever has less in it."""

import pytest

from jira_api.protection.fair_queue import FairQueue


class Waiter:
    def __init__(self, name):
        self.name = name
        self.caller = name[:1].encode()

    def __repr__(self):
        return self.name


def filled(limit, *names):
    queue = FairQueue(limit)
    waiters = {name: Waiter(name) for name in names}
    for waiter in waiters.values():
        assert queue.push(waiter) is None
    return queue, waiters


def drained(queue):
    return [queue.pop(lambda _: True).name for _ in range(len(queue))]


def test_callers_take_turns_and_each_keeps_its_order():
    queue, _ = filled(9, "a1", "a2", "a3", "b1", "c1", "b2")

    assert drained(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert queue.pop(lambda _: True) is None


def test_a_newcomer_waits_for_one_request_of_a_busy_caller_at_most():
    queue, _ = filled(99, *(f"a{number}" for number in range(50)))
    assert queue.pop(lambda _: True).name == "a0"
    queue.push(Waiter("b1"))

    assert drained(queue)[:2] == ["a1", "b1"]


def test_one_that_leaves_is_not_served():
    queue, waiters = filled(9, "a1", "b1", "a2")
    for _ in range(2):
        queue.discard(waiters["a1"])

    assert (len(queue), drained(queue)) == (2, ["a2", "b1"])


def test_who_may_not_go_is_passed_over_and_keeps_the_place():
    queue, _ = filled(9, "a1", "a2", "b1")
    first = queue.pop(lambda waiter: waiter.name != "a1")

    assert first.name == "a2"
    assert queue.pop(lambda waiter: waiter.name == "none") is None
    assert drained(queue) == ["b1", "a1"]


def test_a_full_queue_refuses_whoever_has_most_in_it():
    queue, _ = filled(3, "a1", "a2", "b1")
    newcomer = Waiter("a3")

    assert queue.push(newcomer) is newcomer
    assert len(queue) == 3


def test_a_newcomer_takes_the_place_of_the_newest_of_whoever_has_most():
    queue, waiters = filled(4, "a1", "a2", "a3", "b1")

    assert queue.push(Waiter("c1")) is waiters["a3"]
    assert queue.push(late := Waiter("c2")) is late
    assert drained(queue) == ["a1", "b1", "c1", "a2"]


@pytest.mark.parametrize("limit", [0])
def test_a_queue_of_no_length_takes_nobody(limit):
    waiter = Waiter("a1")
    assert FairQueue(limit).push(waiter) is waiter


def test_it_is_readable_and_can_be_looked_at():
    queue, waiters = filled(9, "a1", "b1")

    assert list(queue) == list(waiters.values())
    assert repr(queue) == "<FairQueue 2/9 of 2 callers>"
