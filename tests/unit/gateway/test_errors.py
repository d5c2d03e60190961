"""The error table: every slug of docs/contract.md §3.6, and what each failure of another layer becomes."""

import json

import pytest

from gateway import errors
from gateway.errors import Problem, Processed, Slug, Source, answer, from_refusal, from_reset
from http1.errors import FailureKind, Rejection
from tunnel.errors import ErrorCode, Progress

CONTRACT = {
    "unauthenticated": 401, "forbidden": 403, "connection_unknown": 404, "not_found": 404, "bad_request": 400,
    "method_not_allowed": 405, "request_timeout": 408, "body_too_large": 413, "uri_too_long": 414,
    "headers_too_large": 431, "unsupported_coding": 501, "rate_limited": 429, "policy_denied": 403,
    "agent_offline": 503, "overloaded": 503, "draining": 503, "paused": 503, "jira_unavailable": 503,
    "jira_login_rejected": 503, "jira_unreachable": 502, "jira_tls": 502, "jira_protocol": 502, "tunnel_lost": 502,
    "jira_timeout": 504, "internal": 500,
}  # fmt: skip
SLUGS = {slug.name: slug for slug in vars(errors).values() if isinstance(slug, Slug)}
RETRIED = {
    "agent_offline",
    "overloaded",
    "draining",
    "paused",
    "jira_unavailable",
    "jira_login_rejected",
    "rate_limited",
}


def test_the_slugs_are_those_of_the_contract():
    assert {name: slug.status for name, slug in SLUGS.items()} == CONTRACT


def test_those_that_ask_for_another_try_say_when():
    assert {name for name, slug in SLUGS.items() if slug.retry_after} == RETRIED


@pytest.mark.parametrize("name", CONTRACT)
@pytest.mark.parametrize("processed", Processed)
@pytest.mark.parametrize("source", Source)
def test_every_answer_has_the_documented_shape(name, processed, source):
    slug = SLUGS[name]
    status, headers, body = answer(Problem(slug, "A sentence.", source, processed), "r-7", 0.0123)
    fields = dict(headers)

    assert len(fields) == len(headers)
    assert status == slug.status
    assert fields[b"Tunnel-Error"] == name.encode()
    assert (fields[b"Tunnel-Source"], fields[b"Tunnel-Processed"]) == (source.value.encode(), processed.value.encode())
    assert (fields[b"X-Request-ID"], fields[b"Server-Timing"]) == (
        b"r-7",
        b"gateway;dur=0.00, tunnel;dur=12.30, jira;dur=0.00",
    )
    assert (b"Retry-After" in fields) == (name in RETRIED and processed is Processed.NO)
    assert (b"WWW-Authenticate" in fields) == (name == "unauthenticated")
    assert (b"Allow" in fields) == (name == "method_not_allowed")
    assert json.loads(body) == {
        "errorMessages": ["A sentence."],
        "errors": {},
        "tunnel": {"error": name, "source": source.value, "processed": processed.value, "request_id": "r-7"},
    }


def test_a_problem_may_know_better_when_to_try_again():
    _, headers, _ = answer(Problem(errors.RATE_LIMITED, "x", retry_after=17), "r")
    assert dict(headers)[b"Retry-After"] == b"17"


def test_a_message_cannot_break_out_of_its_json():
    _, _, body = answer(Problem(errors.INTERNAL, 'a"b\r\n\x00\ud800'), "r")
    assert json.loads(body)["errorMessages"] == ['a"b\r\n\x00\ud800']


@pytest.mark.parametrize("rejection", Rejection)
def test_every_rejection_of_http_has_a_slug(rejection):
    assert errors.REJECTIONS[rejection].name == rejection.name.lower()


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_of_a_direct_request_has_a_slug(kind):
    assert errors.FAILURES[kind].status == 502


@pytest.mark.parametrize("progress", Progress)
@pytest.mark.parametrize("code", ErrorCode)
def test_every_reset_becomes_a_problem_that_says_what_is_known(code, progress):
    problem = from_reset(code, progress, "")

    assert problem.message
    if problem.slug is errors.INTERNAL:
        assert problem.processed is Processed.UNKNOWN
    else:
        assert problem.processed is (Processed.NO if progress is Progress.NOT_SENT else Processed.UNKNOWN)


@pytest.mark.parametrize(
    ("code", "slug", "source"),
    [
        (ErrorCode.LINK_LOST, "tunnel_lost", Source.GATEWAY),
        (ErrorCode.DEADLINE, "jira_timeout", Source.GATEWAY),
        (ErrorCode.JIRA_TIMEOUT, "jira_timeout", Source.AGENT),
        (ErrorCode.POLICY_DENIED, "policy_denied", Source.AGENT),
        (ErrorCode.PAUSED, "paused", Source.AGENT),
        (ErrorCode.CANCEL, "internal", Source.AGENT),
        (ErrorCode.PROTOCOL_ERROR, "internal", Source.AGENT),
    ],
)
def test_a_reset_says_who_gave_the_answer(code, slug, source):
    problem = from_reset(code, Progress.NOT_SENT, "why")
    assert (problem.slug.name, problem.source, problem.message) == (slug, source, "why")


@pytest.mark.parametrize(
    ("code", "slug"),
    [
        (ErrorCode.OVERLOADED, "overloaded"),
        (ErrorCode.DRAINING, "draining"),
        (ErrorCode.LINK_LOST, "tunnel_lost"),
        (ErrorCode.BAD_REQUEST, "headers_too_large"),
    ],
)
def test_what_our_own_end_refuses_is_the_gateways_answer_and_not_processed(code, slug):
    problem = from_refusal(code)
    assert (problem.slug.name, problem.source, problem.processed) == (slug, Source.GATEWAY, Processed.NO)
