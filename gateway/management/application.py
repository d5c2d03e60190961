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
from typing import Any
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
from gateway.local_relay import MAX_BODY_BYTES, PEER_HEADER, REQUEST_ID_HEADER
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

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GRANT: web.RequestKey[TokenGrant] = web.RequestKey("grant", TokenGrant)

_PARAMETERS = {name: re.compile(pattern, re.ASCII) for name, pattern in PARAMETERS.items()}


class Reception:
    """The middleware: authenticates, and turns what went wrong into the one error format."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._rates = Rates()

    @web.middleware
    async def receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request."""
        started, request_id, caller = perf_counter(), request.headers.get(REQUEST_ID_HEADER, ""), ""
        try:
            grant = self._authenticate(request)
            caller = grant.name
            self._authorize(grant)
            request[GRANT] = grant
            response = await _in_time(handler(request))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told in the one format
            response = _refuse(error, request_id)
        response.headers[REQUEST_ID_HEADER] = request_id
        spent = (perf_counter() - started) * 1000
        response.headers["Server-Timing"] = f"gateway;dur={spent:.2f}, tunnel;dur=0.00, jira;dur=0.00"
        response.headers["Cache-Control"] = "no-store"
        log.info(
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
            presented = sort_headers(list(request.raw_headers)).presented_token
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

    def _authorize(self, grant: TokenGrant) -> None:
        if Scope.ADMIN not in grant.scopes:
            raise declined(FORBIDDEN, "This token has not the scope admin.")
        wait = self._rates.take(grant.name, grant.rate, monotonic()) if grant.rate is not None else 0.0
        if wait:
            message = f"This token may send {grant.rate:g} requests per second."
            raise Declined(Problem(RATE_LIMITED, message, retry_after=max(1, round(wait))))


async def _in_time(handling: Awaitable[web.StreamResponse]) -> web.StreamResponse:
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
    made = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[Reception(office).receive])

    @cache
    def text() -> str:  # made when it is first asked for: 30 ms and 5 MB that most gateways never need
        return json.dumps(document(software))

    async def openapi(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(text=text(), content_type="application/json")

    made.router.add_get(f"{ROOT}/openapi.json", openapi, allow_head=False)
    for route in ROUTES:
        made.router.add_route(route.method, ROOT + route.path, _handler(route, office))
    return made


def _handler(route: Route, office: Office) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        visit = await _visit(route, office, request)
        answered = await route.action(visit)
        if route.changes:
            await office.refresh()
        if answered is None:
            return web.Response(status=route.status)
        return web.Response(status=route.status, text=answered.model_dump_json(), content_type="application/json")

    return handle


async def _visit(route: Route, office: Office, request: web.Request) -> Visit:
    grant = request[GRANT]
    if route.changes and grant.read_only:
        raise declined(FORBIDDEN, "This token is read-only.")
    for name, value in request.match_info.items():
        if not _PARAMETERS[name].fullmatch(value):
            raise declined(NOT_FOUND, "There is nothing of this name.")
    desk = Desk(office.settings, office.key, office.store, f"token {grant.name}", office.now())
    query = _query(route.query, request.rel_url.raw_query_string)
    return Visit(office, desk, request.match_info, await _body(route.body, request), query)


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
