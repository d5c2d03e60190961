"""The promise about retries (docs/contract.md §4), over every combination there is."""

from itertools import product

import pytest

from gateway.replay import MAX_ATTEMPTS, SAFE_METHODS, may_replay
from tunnel.errors import ErrorCode, Progress

METHODS = (b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"PATCH", b"DELETE", b"get")
EVERYTHING = list(product(METHODS, ErrorCode, Progress, (True, False), range(1, MAX_ATTEMPTS + 2), (True, False)))
ALLOWED = [case for case in EVERYTHING if may_replay(*case[:3], body_kept=case[3], attempts=case[4], resent=case[5])]


def test_the_table_allows_something_and_not_everything():
    assert 0 < len(ALLOWED) < len(EVERYTHING)


def test_what_can_write_goes_again_only_if_it_was_not_sent():
    assert {case[2] for case in ALLOWED if case[0] not in SAFE_METHODS} == {Progress.NOT_SENT}


def test_what_may_have_reached_jira_goes_again_at_most_once():
    assert {case[5] for case in ALLOWED if case[2] is not Progress.NOT_SENT} == {False}


def test_nothing_goes_again_after_a_byte_of_an_answer():
    assert Progress.ANSWERED not in {case[2] for case in ALLOWED}


def test_nothing_goes_again_without_its_whole_body():
    assert {case[3] for case in ALLOWED} == {True}


def test_attempts_are_bounded():
    assert {case[4] for case in ALLOWED} == set(range(1, MAX_ATTEMPTS))


@pytest.mark.parametrize(
    "code",
    [ErrorCode.POLICY_DENIED, ErrorCode.BAD_REQUEST, ErrorCode.JIRA_TLS, ErrorCode.JIRA_TIMEOUT, ErrorCode.CANCEL,
     ErrorCode.JIRA_LOGIN_REJECTED, ErrorCode.DEADLINE, ErrorCode.INTERNAL],
)  # fmt: skip
def test_a_verdict_is_not_asked_for_twice(code):
    assert code not in {case[1] for case in ALLOWED}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("code", [ErrorCode.LINK_LOST, ErrorCode.DRAINING, ErrorCode.OVERLOADED, ErrorCode.PAUSED])
def test_every_method_goes_elsewhere_when_it_provably_did_not_reach_jira(method, code):
    assert may_replay(method, code, Progress.NOT_SENT, body_kept=True, attempts=1, resent=False)
    assert may_replay(method, code, Progress.NOT_SENT, body_kept=True, attempts=1, resent=True)


@pytest.mark.parametrize("method", sorted(SAFE_METHODS))
@pytest.mark.parametrize("code", [ErrorCode.LINK_LOST, ErrorCode.JIRA_PROTOCOL])
def test_a_read_that_was_cut_goes_again(method, code):
    assert may_replay(method, code, Progress.SENT, body_kept=True, attempts=1, resent=False)
