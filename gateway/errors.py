"""Every answer of ours that is not Jira's: ONE table from slug to status, and from other layers' errors to slugs.

The slugs, statuses, sources and the body are docs/contract.md §3.6; callers and tests rely on them.
"""

import json
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from http1.errors import FailureKind, Rejection
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import ResponseHead

Headers = list[tuple[bytes, bytes]]

MAX_DIGITS = 9


class Source(Enum):
    """Which of our two programs gave the answer."""

    GATEWAY = "gateway"
    AGENT = "agent"


class Processed(Enum):
    """Whether Jira may have seen the request."""

    NO = "no"
    UNKNOWN = "unknown"


class Slug(NamedTuple):
    """One row of the error table; `retry_after` in seconds goes out only when Jira surely saw nothing."""

    name: str
    status: int
    retry_after: int | None = None


UNAUTHENTICATED = Slug("unauthenticated", 401)
FORBIDDEN = Slug("forbidden", 403)
CONNECTION_UNKNOWN = Slug("connection_unknown", 404)
NOT_FOUND = Slug("not_found", 404)
BAD_REQUEST = Slug("bad_request", 400)
METHOD_NOT_ALLOWED = Slug("method_not_allowed", 405)
REQUEST_TIMEOUT = Slug("request_timeout", 408)
BODY_TOO_LARGE = Slug("body_too_large", 413)
URI_TOO_LONG = Slug("uri_too_long", 414)
HEADERS_TOO_LARGE = Slug("headers_too_large", 431)
UNSUPPORTED_CODING = Slug("unsupported_coding", 501)
RATE_LIMITED = Slug("rate_limited", 429, retry_after=1)
POLICY_DENIED = Slug("policy_denied", 403)
AGENT_OFFLINE = Slug("agent_offline", 503, retry_after=5)
OVERLOADED = Slug("overloaded", 503, retry_after=1)
DRAINING = Slug("draining", 503, retry_after=2)
PAUSED = Slug("paused", 503, retry_after=60)
JIRA_UNAVAILABLE = Slug("jira_unavailable", 503, retry_after=10)
JIRA_LOGIN_REJECTED = Slug("jira_login_rejected", 503, retry_after=60)
JIRA_UNREACHABLE = Slug("jira_unreachable", 502)
JIRA_TLS = Slug("jira_tls", 502)
JIRA_PROTOCOL = Slug("jira_protocol", 502)
TUNNEL_LOST = Slug("tunnel_lost", 502)
JIRA_TIMEOUT = Slug("jira_timeout", 504)
INTERNAL = Slug("internal", 500)

REJECTIONS: dict[Rejection, Slug] = {
    Rejection.BAD_REQUEST: BAD_REQUEST,
    Rejection.METHOD_NOT_ALLOWED: METHOD_NOT_ALLOWED,
    Rejection.REQUEST_TIMEOUT: REQUEST_TIMEOUT,
    Rejection.BODY_TOO_LARGE: BODY_TOO_LARGE,
    Rejection.URI_TOO_LONG: URI_TOO_LONG,
    Rejection.HEADERS_TOO_LARGE: HEADERS_TOO_LARGE,
    Rejection.UNSUPPORTED_CODING: UNSUPPORTED_CODING,
}

_AGENT = Source.AGENT
_GATEWAY = Source.GATEWAY
RESETS: dict[ErrorCode, tuple[Slug, Source]] = {
    ErrorCode.OVERLOADED: (OVERLOADED, _AGENT),
    ErrorCode.DRAINING: (DRAINING, _AGENT),
    ErrorCode.PAUSED: (PAUSED, _AGENT),
    ErrorCode.POLICY_DENIED: (POLICY_DENIED, _AGENT),
    ErrorCode.BAD_REQUEST: (BAD_REQUEST, _AGENT),
    ErrorCode.JIRA_UNREACHABLE: (JIRA_UNREACHABLE, _AGENT),
    ErrorCode.JIRA_TLS: (JIRA_TLS, _AGENT),
    ErrorCode.JIRA_PROTOCOL: (JIRA_PROTOCOL, _AGENT),
    ErrorCode.JIRA_TIMEOUT: (JIRA_TIMEOUT, _AGENT),
    ErrorCode.JIRA_UNAVAILABLE: (JIRA_UNAVAILABLE, _AGENT),
    ErrorCode.JIRA_LOGIN_REJECTED: (JIRA_LOGIN_REJECTED, _AGENT),
    ErrorCode.LINK_LOST: (TUNNEL_LOST, _GATEWAY),
    ErrorCode.DEADLINE: (JIRA_TIMEOUT, _GATEWAY),
}

FAILURES: dict[FailureKind, Slug] = {
    FailureKind.UNREACHABLE: JIRA_UNREACHABLE,
    FailureKind.TLS: JIRA_TLS,
    FailureKind.PROTOCOL: JIRA_PROTOCOL,
    FailureKind.CLOSED: JIRA_PROTOCOL,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One outcome that is ours to answer: what, who says so, and whether Jira may have seen the request."""

    slug: Slug
    message: str
    source: Source = Source.GATEWAY
    processed: Processed = Processed.NO
    retry_after: int | None = None


def from_refusal(code: ErrorCode) -> Problem:
    """Return what a caller is told when our own end of a link did not take its request."""
    if code is ErrorCode.BAD_REQUEST:
        return Problem(HEADERS_TOO_LARGE, "The request's head is too large for the tunnel.")
    return replace(from_reset(code, Progress.NOT_SENT, ""), source=Source.GATEWAY)


def from_reset(code: ErrorCode, progress: Progress, detail: str) -> Problem:
    """Return what a caller is told about a stream that was reset before the head of an answer."""
    slug, source = RESETS.get(code, (INTERNAL, Source.AGENT))
    processed = Processed.NO if progress is Progress.NOT_SENT else Processed.UNKNOWN
    if slug is INTERNAL:
        processed = Processed.UNKNOWN
    return Problem(slug, detail or _DEFAULT_MESSAGES.get(slug.name, slug.name), source, processed)


def from_meta(head: ResponseHead) -> Problem | None:
    """Return the problem that stands in the place of an answer of Jira's: the pause that its rate limit asks for."""
    if head.meta.get(b"problem") != RATE_LIMITED.name.encode():
        return None
    said = dict(head.headers).get(b"Retry-After", b"")
    seconds = int(said) if said.isdigit() and len(said) < MAX_DIGITS else None
    message = head.meta.get(b"detail", b"").decode("utf-8", "replace") or _DEFAULT_MESSAGES["rate_limited"]
    return Problem(RATE_LIMITED, message, Source.AGENT, retry_after=seconds)


_DEFAULT_MESSAGES = {
    "rate_limited": "Jira's rate limit is met; try again later.",
    "tunnel_lost": "The tunnel to the agent broke while the request was on its way.",
    "jira_timeout": "Jira did not answer in time.",
    "overloaded": "There are as many requests in flight as there may be; try again.",
    "draining": "The way to Jira is about to be replaced; try again.",
    "paused": "The on-premise administrator has paused this agent.",
    "internal": "Something of ours failed; the log has the request id.",
}


def answer(problem: Problem, request_id: str, waited: float = 0.0) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of `problem` (docs/contract.md §3.6); `waited`: seconds that the agent took."""
    slug = problem.slug
    body = {
        "errorMessages": [problem.message],
        "errors": {},
        "tunnel": {
            "error": slug.name,
            "source": problem.source.value,
            "processed": problem.processed.value,
            "request_id": request_id,
        },
    }
    headers = [
        (b"Content-Type", b"application/json;charset=UTF-8"),
        (b"Cache-Control", b"no-store"),
        (b"X-Request-ID", request_id.encode()),
        (b"Server-Timing", b"gateway;dur=0.00, tunnel;dur=%.2f, jira;dur=0.00" % (waited * 1000)),
        (b"Tunnel-Error", slug.name.encode()),
        (b"Tunnel-Source", problem.source.value.encode()),
        (b"Tunnel-Processed", problem.processed.value.encode()),
    ]
    retry_after = problem.retry_after or slug.retry_after
    if retry_after is not None and problem.processed is Processed.NO:
        headers.append((b"Retry-After", str(retry_after).encode()))
    if slug is UNAUTHENTICATED:
        headers.append((b"WWW-Authenticate", b'Basic realm="jira-tunnel"'))
    if slug is METHOD_NOT_ALLOWED:
        headers.append((b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
    return slug.status, headers, json.dumps(body).encode()
