"""Places towards Jira: bounded, first in first out, never lost."""

from agent.limiter import Admission, Limiter


class Request:
    def __init__(self, name, log):
        self.name = name
        self.log = log

    def admitted(self):
        self.log.append(self.name)


def test_requests_enter_up_to_the_limit_then_queue_then_are_refused():
    limiter = Limiter(2, queue_limit=1)
    log = []

    admissions = [limiter.enter(Request(number, log)) for number in range(4)]

    assert admissions == [Admission.ADMITTED, Admission.ADMITTED, Admission.QUEUED, Admission.REFUSED]
    assert repr(limiter) == "<Limiter 2/2 waiting 1/1>"
    assert log == []


def test_a_released_place_goes_to_the_longest_waiter():
    limiter = Limiter(1)
    log = []
    for number in range(3):
        limiter.enter(Request(number, log))

    limiter.release()
    assert log == [1]
    limiter.release()
    assert log == [1, 2]
    limiter.release()

    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_a_waiter_that_left_is_not_called():
    limiter = Limiter(1)
    log = []
    first, second, third = (Request(number, log) for number in range(3))
    for request in (first, second, third):
        limiter.enter(request)

    limiter.leave(second)
    limiter.leave(second)
    limiter.release()

    assert log == [2]


def test_a_waiter_that_gives_its_place_back_at_once_passes_it_on():
    limiter = Limiter(1)
    log = []

    class FailsAtOnce(Request):
        def admitted(self):
            super().admitted()
            limiter.release()

    limiter.enter(Request(0, log))
    for number in (1, 2, 3):
        limiter.enter(FailsAtOnce(number, log))
    limiter.release()

    assert log == [1, 2, 3]
    assert limiter.in_flight == 0
