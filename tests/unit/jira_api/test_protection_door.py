"""Who goes, who waits and who is refused, and what answers teach: the door towards one Jira."""

from types import SimpleNamespace

import pytest

from jira_api.logins import LoginVerdict
from jira_api.protection.accounts import MAX_ACCOUNTS, PROOF_SECONDS, TRIAL_SECONDS, Account, Accounts
from jira_api.protection.breaker import FAILURES_TO_OPEN
from jira_api.protection.protection import QUEUE_SECONDS, Admission, Protection
from jira_api.protection.refusals import Cause

FINE = [(b"X-AUSERNAME", b"svc"), (b"X-Seraph-LoginReason", b"OK")]
REFUSED = [(b"X-Seraph-LoginReason", b"AUTHENTICATED_FAILED"), (b"X-AUSERNAME", b"anonymous")]
TARGET = SimpleNamespace(path="/rest/api/2/issue/OPS-1", segments=("rest", "api", "2", "issue", "OPS-1"))


class Door:
    """A protection with a clock in hand, and the requests that came to it."""

    def __init__(self, maximum=4, queue=16):
        self.now = 1000.0
        self.log = []
        self.protection = Protection(maximum, lambda: self.now, queue)

    def request(self, name, account=None, authorization=None):
        return Request(name, self, account, authorization)

    def own(self, name):
        return self.request(name, self.protection.accounts.own, b"Basic b3du")

    def enter(self, *requests):
        return [self.protection.enter(request) for request in requests]

    def answer(self, request, status=200, headers=FINE, took=0.05):
        verdict = self.protection.answered(request, status, headers, self.now - took, self.now)
        self.protection.release(request)
        return verdict

    def proven(self):
        request = self.own("proof")
        self.enter(request)
        self.answer(request)
        return self

    def later(self, seconds):
        self.now += seconds
        self.protection.expire(self.now)


class Request:
    method = b"GET"
    target = TARGET

    def __init__(self, name, door, account, authorization):
        self.name = name
        self.door = door
        self.account = account
        self.authorization = authorization
        self.caller = name[:1].encode()
        self.refusal = None

    def admitted(self):
        self.door.log.append(self.name)

    def refused(self, refusal):
        self.refusal = refusal


def causes(*requests):
    return [request.refusal and request.refusal.cause for request in requests]


# ---- places


def test_requests_go_up_to_the_limit_then_wait_then_are_refused():
    door = Door(maximum=2, queue=1)
    *fine, last = door.enter(*(door.request(f"a{number}") for number in range(4)))

    assert fine == [Admission.ADMITTED, Admission.ADMITTED, Admission.QUEUED]
    assert last.cause is Cause.OVERLOADED
    assert repr(door.protection).startswith("<Protection 2/2 <FairQueue 1/1")


def test_a_place_that_becomes_free_goes_to_the_caller_whose_turn_it_is():
    door = Door(maximum=1)
    first, *_ = requests = [door.request(name) for name in ("a1", "a2", "a3", "b1")]
    door.enter(*requests)
    for _ in range(4):
        door.protection.release(first)

    assert door.log == ["a2", "b1", "a3"]
    assert (door.protection.in_flight, door.protection.waiting) == (0, 0)


def test_one_who_is_displaced_by_a_newcomer_is_told_so():
    door = Door(maximum=1, queue=3)
    requests = [door.request(name) for name in ("a1", "a2", "a3", "a4", "b1")]

    assert door.enter(*requests)[-1] is Admission.QUEUED
    assert causes(*requests) == [None, None, None, Cause.OVERLOADED, None]


def test_hundreds_that_give_their_place_back_at_once_are_no_recursion():
    door = Door(maximum=1, queue=2000)

    class FailsAtOnce(Request):
        def admitted(self):
            super().admitted()
            door.protection.release(self)

    first = door.request("a")
    door.enter(first, *(FailsAtOnce(f"a{number}", door, None, None) for number in range(1500)))
    door.protection.release(first)

    assert (len(door.log), door.protection.in_flight) == (1500, 0)


def test_a_limit_that_has_fallen_holds_new_requests_back():
    door = Door(maximum=16)
    requests = [door.request(f"a{number}") for number in range(16)]
    door.enter(*requests)
    door.answer(requests[0], status=500, headers=[])

    assert door.protection.limit == 11
    assert door.enter(door.request("b")) == [Admission.QUEUED]


# ---- logins


def test_a_login_that_is_not_proven_goes_with_one_request_first():
    door = Door()
    requests = [door.own(f"a{number}") for number in range(3)]

    assert door.enter(*requests) == [Admission.ADMITTED, Admission.QUEUED, Admission.QUEUED]
    door.answer(requests[0])

    assert door.log == ["a1", "a2"]


@pytest.mark.parametrize("status", [200, 401])
def test_a_refused_login_is_tried_once_whoever_waits(status):
    door = Door()
    requests = [door.own(f"a{number}") for number in range(3)]
    door.enter(*requests)
    verdict = door.answer(requests[0], status, REFUSED)

    assert verdict.is_refusal
    assert causes(*requests) == [None, Cause.LOGIN_REJECTED, Cause.LOGIN_REJECTED]
    assert door.log == []
    [late] = door.enter(door.own("b1"))
    assert late.cause is Cause.LOGIN_REJECTED
    assert "Set the right password" in late.detail


def test_a_captcha_stops_a_proven_login_too():
    door = Door().proven()
    request = door.own("a1")
    door.enter(request)
    door.answer(request, 403, [(b"X-Authentication-Denied-Reason", b"CAPTCHA_CHALLENGE; login-url=x")])

    [late] = door.enter(door.own("a2"))
    assert "CAPTCHA" in late.detail
    assert door.protection.accounts.refused == [door.protection.accounts.own]


@pytest.mark.parametrize("renew", ["renew", "renew_own"])
def test_a_changed_login_is_tried_again_by_one_request(renew):
    door = Door()
    request = door.own("a1")
    door.enter(request)
    door.answer(request, 401, REFUSED)
    getattr(door.protection.accounts, renew)()

    assert door.enter(door.own("a2"), door.own("a3")) == [Admission.ADMITTED, Admission.QUEUED]


def test_an_answer_to_the_old_login_says_nothing_of_the_new_one():
    door = Door().proven()
    request = door.own("a1")
    door.enter(request)
    door.protection.accounts.renew_own()
    door.answer(request, 401, REFUSED)

    assert door.enter(door.own("a2")) == [Admission.ADMITTED]


def test_a_denied_permission_and_a_sick_jira_refuse_no_login():
    door = Door()
    for status, headers in ((403, FINE), (401, FINE), (503, []), (429, FINE), (500, [])):
        request = door.own("a1")
        door.now += 200
        door.enter(request)
        door.answer(request, status, headers)

    assert door.protection.accounts.refused == []


def test_a_request_on_trial_that_ends_without_an_answer_gives_way_to_the_next():
    door = Door()
    first, second, third = (door.own(f"a{number}") for number in range(3))
    door.enter(first, second, third)
    door.protection.release(first)

    assert door.log == ["a1"]


def test_a_request_on_trial_that_takes_long_is_not_waited_for():
    door = Door()
    door.enter(*(door.own(f"a{number}") for number in range(4)))
    door.later(TRIAL_SECONDS / 2)
    assert door.log == []
    door.later(TRIAL_SECONDS / 2)

    assert door.log == ["a1", "a2", "a3"]


def test_a_login_that_was_not_used_for_long_is_on_trial_again():
    door = Door().proven()
    assert door.enter(door.own("a1"), door.own("a2")) == [Admission.ADMITTED] * 2
    door.now += PROOF_SECONDS

    assert door.enter(door.own("a3"), door.own("a4")) == [Admission.ADMITTED, Admission.QUEUED]


def test_callers_own_logins_are_never_held_back():
    door = Door()
    requests = [door.request(f"a{number}", authorization=b"Basic d3Jvbmc=") for number in range(3)]
    assert door.enter(*requests) == [Admission.ADMITTED] * 3
    for request in requests:
        assert door.answer(request, 401, REFUSED).slug == "wrong_password"

    assert door.enter(door.request("a4", authorization=b"Basic d3Jvbmc=")) == [Admission.ADMITTED]


def test_logins_stored_elsewhere_are_told_apart_and_bounded():
    accounts = Accounts()
    bad = accounts.stored(b"Basic bad")
    bad.judged(None, LoginVerdict.WRONG_PASSWORD, 1.0, is_proof=False)
    for number in range(MAX_ACCOUNTS + 50):
        accounts.stored(b"Basic %d" % number)

    assert accounts.stored(b"Basic bad") is bad
    assert accounts.refused == [bad]
    assert f"stored={MAX_ACCOUNTS} " in repr(accounts)
    assert "Basic" not in repr(accounts)


# ---- rate limits


def limited(door, name="p1", seconds=3, **options):
    request = door.request(name, **options) if options else door.own(name)
    door.enter(request)
    door.answer(request, 429, [*FINE, (b"Retry-After", b"%d" % seconds)])
    return request


def test_a_short_pause_is_waited_for_by_everybody_in_turns():
    door = Door(maximum=64).proven()
    limited(door)
    requests = [door.own(name) for name in ("a1", "a2", "b1")]
    assert door.enter(*requests) == [Admission.QUEUED] * 3
    door.later(2.9)
    assert door.log == []
    door.later(0.2)

    assert door.log == ["a1", "b1", "a2"]
    assert door.protection.limit == 32


def test_a_long_pause_is_told_with_the_seconds_that_are_left():
    door = Door(maximum=1).proven()
    first, waiting = door.own("p1"), door.own("a1")
    door.enter(first, waiting)
    door.answer(first, 429, [*FINE, (b"Retry-After", b"60")])
    door.now += 20
    [late] = door.enter(door.own("a2"))

    assert causes(waiting) == [Cause.RATE_LIMITED]
    assert (waiting.refusal.retry_after, late.retry_after) == (60, 40)
    assert door.log == []


def test_whoever_waited_in_vain_is_told_why():
    door = Door().proven()
    limited(door, seconds=5)
    request = door.own("a1")
    assert door.enter(request) == [Admission.QUEUED]
    door.protection.accounts.own.pause(door.now + 30)
    door.now += QUEUE_SECONDS

    assert door.protection.waited_too_long(request).retry_after == 25
    assert door.protection.waited_too_long(door.request("x")).cause is Cause.OVERLOADED


def test_a_rate_limit_of_one_caller_login_is_nobody_elses():
    door = Door().proven()
    mine, theirs = b"Basic mine", b"Basic theirs"
    limited(door, "m1", authorization=mine)
    accounts = door.protection.accounts

    assert door.enter(door.request("m2", accounts.of_caller(mine), mine)) == [Admission.QUEUED]
    assert accounts.of_caller(theirs) is None
    assert door.enter(door.own("a1")) == [Admission.ADMITTED]
    door.later(3.0)
    assert door.log == ["m2"]
    assert not accounts.are_callers_known
    assert door.protection.deadline == float("inf")


def test_retry_after_on_a_healthy_answer_means_nothing():
    door = Door(maximum=64).proven()
    request = door.own("a1")
    door.enter(request)
    door.answer(request, 200, [*FINE, (b"Retry-After", b"0"), (b"X-RateLimit-Remaining", b"3")])

    assert door.enter(door.own("a2")) == [Admission.ADMITTED]
    assert door.protection.limit == 64


# ---- a Jira that is not there


def hang(door, count=FAILURES_TO_OPEN):
    for number in range(count):
        request = door.request(f"h{number}")
        door.enter(request)
        door.protection.timed_out(door.now - 60, "Jira gave no sign within 60 s")
        door.protection.release(request)


def test_a_jira_that_hangs_gets_nothing_more_and_who_waits_is_told():
    door = Door(maximum=1)
    door.enter(door.request("x"))
    waiting = door.request("a1")
    door.enter(waiting)
    for _ in range(FAILURES_TO_OPEN):
        door.protection.timed_out(door.now - 60, "Jira gave no sign within 60 s")
    [late] = door.enter(door.request("a2"))

    assert causes(waiting) == [Cause.JIRA_UNAVAILABLE] == [late.cause]
    assert "no sign within 60 s" in late.detail
    assert door.protection.waiting == 0


def test_it_is_open_until_there_is_an_answer():
    door = Door()
    hang(door)
    door.protection.probe_failed("connection refused")
    [refusal] = door.enter(door.request("a1"))
    assert "connection refused" in refusal.detail
    door.protection.breaker.answered()

    assert door.enter(door.request("a1")) == [Admission.ADMITTED]


def test_callers_that_are_impatient_say_nothing_of_jira():
    door = Door()
    for _ in range(50):
        door.protection.abandoned(door.now - 0.5)
        door.protection.probe_failed("refused")

    assert door.protection.breaker.reason is None


def test_callers_that_hung_up_after_a_while_do():
    door = Door()
    for _ in range(FAILURES_TO_OPEN):
        door.protection.abandoned(door.now - 30)

    assert door.protection.breaker.reason is not None


def test_refusals_open_it_and_a_503_asks_for_a_probe():
    door = Door()
    doubts = []
    door.protection.breaker.on_doubt = lambda: doubts.append(1)
    request = door.request("a1")
    door.enter(request)
    door.answer(request, 503, [])
    assert doubts == [1]
    for _ in range(FAILURES_TO_OPEN):
        door.protection.unreachable(door.now, "refused")
        door.now += 0.5

    assert door.protection.breaker.reason == "refused"


def test_a_jira_that_says_that_it_is_not_ready_gets_nothing():
    door = Door(maximum=1)
    waiting = door.request("a1")
    door.enter(door.request("x"), waiting)
    door.protection.found_unavailable("Jira is starting (state STARTING)")

    assert causes(waiting) == [Cause.JIRA_UNAVAILABLE]


def test_an_account_tells_no_secret():
    assert repr(Account(is_stored=True)) == "<Account usable stored=True trial=False>"
