"""Whether a request may go on, and where to: everything the gateway decides before it opens a stream. Pure.

The order is part of the contract: nothing that could tell a stranger anything comes before the token, and
nothing about a connection is told to a token that does not name it (docs/contract.md §3.2).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.addressing import Addressed, by_host, by_path, without_context
from gateway.authentication import AmbiguousLogin, CallerHeaders, Headers, sort_headers
from gateway.directory import ConnectionEntry, Directory, TokenGrant
from gateway.errors import (
    BAD_REQUEST,
    CONNECTION_UNKNOWN,
    FORBIDDEN,
    NOT_FOUND,
    RATE_LIMITED,
    UNAUTHENTICATED,
    Problem,
    Slug,
)
from gateway.rates import Rates
from gateway.store import Credentials, Scope
from http1.messages import RequestHead
from http1.target import AmbiguousTarget, Target, parse_target
from jira_api.decisions import Deny
from jira_api.headers import is_oauth1
from jira_api.profiles import READ_ONLY
from jira_api.rules import evaluate
from tunnel.heads import SharedFields

MAX_TIMEOUT_SECONDS = 86_400.0


class Refused(Exception):
    """The gateway answers this request itself; `problem` says how, `caller` which token asked, when known."""

    def __init__(self, problem: Problem, caller: str = "") -> None:
        super().__init__(problem.slug.name)
        self.problem = problem
        self.caller = caller


@dataclass(slots=True)
class Passport:
    """What the headers of a request mean on one connection, whatever its method and target.

    The same for all requests that repeat their headers there, while the directory has the same grant and route, so
    nothing in it is changed. `shared` is what the way has made of it (gateway.forward).
    """

    route: ConnectionEntry
    grant: TokenGrant
    headers: Headers
    timeout: float
    shared: SharedFields | None = None


@dataclass(slots=True)
class Admission:
    """A request that may go on.

    `target` is canonical and below Jira's context path; `headers` are the caller's without ours and without
    the login that is not for Jira; `timeout` is in seconds. Whoever replaces `headers` takes the `passport` away.
    """

    route: ConnectionEntry
    grant: TokenGrant
    target: Target
    headers: Headers
    timeout: float
    by_host: bool
    passport: Passport | None = None
    span: Any = None  # what gateway.tracing knows of it, when it is recorded


@dataclass(slots=True)
class Entrance:
    """What admission needs to know beside the request itself; the front door replaces `directory` as a whole.

    `domain` is the connection domain in lower case or b""; `context_path` asks for the raw context path of an
    agent's Jira.
    """

    directory: Directory
    rates: Rates
    domain: bytes
    context_path: Callable[[ConnectionEntry], bytes]


def admit(request: RequestHead, entrance: Entrance, now: datetime, monotonic: float) -> Admission:
    """Decide about one request; raises `Refused`."""
    sorted_headers = _sort(request)
    grant = _authenticate(sorted_headers, entrance.directory, now)
    addressed = _address(request, entrance.domain, grant)
    route = _route(addressed, entrance.directory, grant)
    if grant.rate is not None:
        _check_rate(grant, grant.rate, entrance.rates, monotonic)
    target = _target(addressed, entrance.context_path(route) if addressed.by_host else b"", grant)
    if grant.read_only:
        _check_token_rights(request.method, target, route, grant)
    passport = sorted_headers.passport
    if passport is None or passport.route is not route or passport.grant is not grant:
        passport = sorted_headers.passport = _passport(sorted_headers, route, grant)
    if route.credentials is Credentials.CALLER:
        _check_signature(sorted_headers, target, grant)
    return Admission(route, grant, target, passport.headers, passport.timeout, addressed.by_host, passport)


def _sort(request: RequestHead) -> CallerHeaders:
    """Sort the headers, or find how they were sorted when they came last."""
    fields = request.fields
    if fields is not None and fields.derived is not None:
        known: CallerHeaders = fields.derived
        return known
    try:
        sorted_headers = sort_headers(request.headers)
    except AmbiguousLogin as ambiguous:
        raise _refused(BAD_REQUEST, f"The header {ambiguous.name} is repeated; send it once.") from None
    if fields is not None:
        fields.derived = sorted_headers
    return sorted_headers


def _passport(sorted_headers: CallerHeaders, route: ConnectionEntry, grant: TokenGrant) -> Passport:
    headers = _headers_for_jira(sorted_headers, route, grant)
    timeout = _timeout(sorted_headers.values.get(b"tunnel-timeout"), route.timeout_seconds, grant)
    return Passport(route, grant, headers, timeout)


def _refused(slug: Slug, message: str, grant: TokenGrant | None = None, retry_after: int | None = None) -> Refused:
    return Refused(Problem(slug, message, retry_after=retry_after), grant.name if grant else "")


def _authenticate(sorted_headers: CallerHeaders, directory: Directory, now: datetime) -> TokenGrant:
    token_hash = sorted_headers.token_hash
    grant = directory.grant(token_hash, now) if token_hash else None
    if grant is None:
        what = "is unknown or expired" if token_hash else "is missing"
        raise _refused(
            UNAUTHENTICATED,
            f"The gateway token {what}; send it as a bearer token, or as the password of Basic authentication.",
        )
    return grant


def _address(request: RequestHead, domain: bytes, grant: TokenGrant) -> Addressed:
    addressed = by_host(request.host, domain, request.target) if domain else None
    addressed = addressed or by_path(request.target)
    if addressed is None:
        raise _refused(NOT_FOUND, "There is nothing here; Jira is at /jira/<connection>/….", grant)
    return addressed


def _route(addressed: Addressed, directory: Directory, grant: TokenGrant) -> ConnectionEntry:
    if addressed.connection not in grant.connections or Scope.CALL not in grant.scopes:
        raise _refused(FORBIDDEN, "This token may not use this connection.", grant)
    route = directory.connection(addressed.connection)
    if route is None:
        raise _refused(CONNECTION_UNKNOWN, f"There is no connection {addressed.connection}.", grant)
    return route


def _check_rate(grant: TokenGrant, rate: float, rates: Rates, monotonic: float) -> None:
    wait = rates.take(grant.name, rate, monotonic)
    if wait:
        seconds = max(1, math.ceil(wait))
        raise _refused(RATE_LIMITED, f"This token may send {rate:g} requests per second.", grant, seconds)


def _target(addressed: Addressed, context_path: bytes, grant: TokenGrant) -> Target:
    raw = without_context(addressed.target, context_path) if addressed.by_host else addressed.target
    try:
        return parse_target(raw)
    except AmbiguousTarget as ambiguous:
        raise _refused(
            BAD_REQUEST, f"The path is ambiguous ({ambiguous.reason}); it is not passed on.", grant
        ) from None


def _check_token_rights(method: bytes, target: Target, route: ConnectionEntry, grant: TokenGrant) -> None:
    decision = evaluate(READ_ONLY, method, target, credentials=route.credentials.value)
    if isinstance(decision, Deny):
        raise _refused(FORBIDDEN, f"This token is read-only: {decision.reason}.", grant)


def _headers_for_jira(sorted_headers: CallerHeaders, route: ConnectionEntry, grant: TokenGrant) -> Headers:
    headers = sorted_headers.passed
    if route.credentials is Credentials.AGENT:
        return headers
    if route.credentials is Credentials.GATEWAY:
        if route.authorization is None:
            return headers
        return [*headers, (b"Authorization", route.authorization.get_secret_value())]
    if sorted_headers.authorization_holds_token:
        message = (
            "This connection passes Authorization on to Jira; send the gateway token as "
            "Tunnel-Authorization: Bearer <token> and Jira's login as Authorization."
        )
        raise _refused(BAD_REQUEST, message, grant)
    authorization = sorted_headers.authorization
    return headers if authorization is None else [*headers, (b"Authorization", authorization)]


def _check_signature(sorted_headers: CallerHeaders, target: Target, grant: TokenGrant) -> None:
    if is_oauth1(sorted_headers.authorization, target.query):
        message = "OAuth 1.0a signs the address of Jira, which differs here; use a personal access token or Basic."
        raise _refused(BAD_REQUEST, message, grant)


def _timeout(wanted: bytes | None, configured: float, grant: TokenGrant) -> float:
    if wanted is None:
        return configured
    try:
        seconds = float(wanted)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise _refused(BAD_REQUEST, "Tunnel-Timeout is not a number of seconds above 0.", grant)
    return min(seconds, configured)
