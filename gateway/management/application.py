"""Receives requests for the management API: who asks, whether it is in the document, and how it is answered.

An aiohttp application on `api.sock`, reached only through gateway.local_relay, whose two headers it believes. A
stranger learns nothing here, not even which paths exist: authentication comes first.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import cache
from time import monotonic, perf_counter
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.authentication import AmbiguousLogin, sort_headers
from gateway.directory import TokenGrant
from gateway.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    INTERNAL,
    NOT_FOUND,
    RATE_LIMITED,
    UNAUTHENTICATED,
    Problem,
    Processed,
    answer,
)
from gateway.local_relay import CALLER_HEADER, MAX_BODY_BYTES, PEER_HEADER, REQUEST_ID_HEADER
from gateway.management.office import Office, Visit
from gateway.management.openapi import document
from gateway.management.problems import Declined, declined, from_error
from gateway.management.routes import PARAMETERS, ROOT, ROUTES, Route
from gateway.operations.desk import Desk
from gateway.rates import Rates
from gateway.store import Scope

log = structlog.get_logger()

HANDLING_SECONDS = 90.0
MAX_PATH_SHOWN = 200

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GRANT: web.RequestKey[TokenGrant] = web.RequestKey("grant", TokenGrant)
CALLER: web.RequestKey[str] = web.RequestKey("caller", str)
STARTED: web.RequestKey[float] = web.RequestKey("started", float)
Scopes = dict[web.AbstractRoute, Scope]
"""Which scope is enough for a route, where it is not admin."""

_PARAMETERS = {name: re.compile(pattern, re.ASCII) for name, pattern in PARAMETERS.items()}


class Reception:
    """The middleware: authenticates, and turns what went wrong into the one error format."""

    def __init__(self, office: Office) -> None:
        self.scopes: Scopes = {}
        self._office = office
        self._rates = Rates()

    @web.middleware
    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request."""
        request_id, caller = request.headers.get(REQUEST_ID_HEADER, ""), ""
        request[STARTED] = perf_counter()
        try:
            grant = self._authenticate(request)
            caller = request[CALLER] = grant.name
            self._authorize(grant, self.scopes.get(request.match_info.route, Scope.ADMIN))
            request[GRANT] = grant
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told in the one format
            response = _refuse(error, request_id)
        log.debug(  # the access log has a line for it (gateway.local_relay)
            "management_request",
            request_id=request_id,
            caller=caller,
            peer=request.headers.get(PEER_HEADER, ""),
            method=request.method,
            path=request.path[:MAX_PATH_SHOWN],
            status=response.status,
        )
        return response

    def _authenticate(self, request: web.Request) -> TokenGrant:
        try:
            presented = presented_token(request)
        except AmbiguousLogin as ambiguous:
            raise declined(BAD_REQUEST, f"The header {ambiguous.name} is repeated; send it once.") from None
        grant = self._office.directory().token(presented, self._office.now()) if presented else None
        if grant is None:
            what = "is unknown or expired" if presented else "is missing"
            message = (
                f"The gateway token {what}; send it as a bearer token, or as the password of Basic authentication."
            )
            raise declined(UNAUTHENTICATED, message)
        return grant

    def _authorize(self, grant: TokenGrant, enough: Scope) -> None:
        if not grant.scopes & {Scope.ADMIN, enough}:  # told alike for every path, whether it exists or not
            raise declined(FORBIDDEN, "This token has not the scope for this.")
        wait = self._rates.take(grant.name, grant.rate, monotonic()) if grant.rate is not None else 0.0
        if wait:
            message = f"This token may send {grant.rate:g} requests per second."
            raise Declined(Problem(RATE_LIMITED, message, retry_after=max(1, round(wait))))


def presented_token(request: web.Request) -> bytes:
    """Return the gateway token that a request presents, b"" for none; raises AmbiguousLogin."""
    return sort_headers(list(request.raw_headers)).presented_token


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer, before its head is sent, the headers that all have."""
    spent = (perf_counter() - request.get(STARTED, perf_counter())) * 1000
    response.headers[REQUEST_ID_HEADER] = request.headers.get(REQUEST_ID_HEADER, "")
    response.headers[CALLER_HEADER] = request.get(CALLER, "")
    response.headers["Server-Timing"] = f"gateway;dur={spent:.2f}, tunnel;dur=0.00, jira;dur=0.00"
    response.headers["Cache-Control"] = "no-store"


async def _in_time(handling: Awaitable[T]) -> T:
    """Return the response; raises Declined when it takes too long (a TimeoutError is the store's)."""
    limit = asyncio.timeout(HANDLING_SECONDS)
    try:
        async with limit:
            return await handling
    except TimeoutError:
        if not limit.expired():
            raise
        message = "This took too long; look at what became of it."
        raise Declined(Problem(INTERNAL, message, processed=Processed.UNKNOWN)) from None


def application(office: Office, software: str) -> web.Application:
    """Return the application with all routes."""
    reception = Reception(office)
    made = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[reception.receive])
    made.on_response_prepare.append(_dress)

    @cache
    def text() -> str:  # made when it is first asked for: 30 ms and 5 MB that most gateways never need
        return json.dumps(document(software))

    async def openapi(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(text=text(), content_type="application/json")

    made.router.add_get(f"{ROOT}/openapi.json", openapi, allow_head=False)
    for route in ROUTES:
        added = made.router.add_route(route.method, ROOT + route.path, _handler(route, office))
        reception.scopes[added] = route.scope
    return made


def _handler(route: Route, office: Office) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        visit = await _in_time(_visit(route, office, request))
        if route.lasts:
            return _response(route, await route.action(visit))
        return await _in_time(_act(route, visit))

    return handle


async def _act(route: Route, visit: Visit) -> web.StreamResponse:
    answered = await route.action(visit)
    if route.changes:
        await visit.office.refresh()
    return _response(route, answered)


def _response(route: Route, answered: BaseModel | web.StreamResponse | None) -> web.StreamResponse:
    match answered:
        case None:
            return web.Response(status=route.status)
        case BaseModel():
            return web.Response(status=route.status, text=answered.model_dump_json(), content_type="application/json")
        case _:
            return answered


async def _visit(route: Route, office: Office, request: web.Request) -> Visit:
    grant = request[GRANT]
    if route.changes and grant.read_only:
        raise declined(FORBIDDEN, "This token is read-only.")
    for name, value in request.match_info.items():
        if not _PARAMETERS[name].fullmatch(value):
            raise declined(NOT_FOUND, "There is nothing of this name.")
    desk = Desk(office.settings, office.key, office.store, f"token {grant.name}", office.now())
    presented = presented_token(request)

    def is_admitted() -> bool:
        return office.directory().token(presented, office.now()) == grant

    query = _query(route.query, request.rel_url.raw_query_string)
    body = await _body(route.body, request)
    return Visit(office, desk, request, grant, is_admitted, request.match_info, body, query)


def _query(model: type[BaseModel] | None, text: str) -> BaseModel | None:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        raise declined(BAD_REQUEST, "The query cannot be read.") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise declined(BAD_REQUEST, "A parameter of the query is repeated.")
    if model is None:
        if given:
            raise declined(BAD_REQUEST, f"There is no query parameter {min(given)}.")
        return None
    return _checked(lambda: model.model_validate(given))


async def _body(model: type[BaseModel] | None, request: web.Request) -> BaseModel | None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise declined(BAD_REQUEST, "A compressed body is not read here.")
    content = await request.read()
    if model is None:
        if content.strip() not in {b"", b"{}"}:
            raise declined(BAD_REQUEST, "No body belongs here.")
        return None
    if request.content_type != "application/json":
        raise declined(BAD_REQUEST, "The body must be application/json.")
    return _checked(lambda: model.model_validate_json(content))


def _checked(validate: Callable[[], BaseModel]) -> BaseModel:
    """Return what `validate` returns; what does not fit is told without its content, which may be secret."""
    try:
        return validate()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise declined(BAD_REQUEST, "; ".join(map(_told, problems[:5])) + ".") from None


def _told(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"])) or "the body"
    return f"{where}: {problem['msg']}"


def _refuse(error: Exception, request_id: str) -> web.Response:
    refusal = from_error(error)
    if refusal.problem.slug is INTERNAL:
        log.error("management_request_crashed", request_id=request_id, exc_info=error)
    status, headers, body = answer(refusal.problem, request_id)
    response = web.Response(status=status, body=body)
    for name, value in headers:
        response.headers[name.decode()] = value.decode()
    if refusal.allow:
        response.headers["Allow"] = ", ".join(sorted(refusal.allow))
    return response
