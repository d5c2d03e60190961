"""What the management API refuses, and how: from typed errors to the one error format (gateway.errors)."""

from aiohttp import web

from certs.errors import CertsError
from gateway.errors import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Problem,
    Processed,
    Slug,
)
from gateway.store import AlreadyExists, InUse, NotFound, StoreError
from gateway.unacceptable import Unacceptable
from runtime.exits import USAGE, CommandFailed

CONFLICT = Slug("conflict", 409)
STORE_UNAVAILABLE = Slug("store_unavailable", 503, retry_after=5)


class Declined(Exception):
    """The request is answered with this problem; `allow` are the methods that would do (405)."""

    def __init__(self, problem: Problem, allow: frozenset[str] = frozenset()) -> None:
        super().__init__(problem.slug.name)
        self.problem = problem
        self.allow = allow


def declined(slug: Slug, message: str) -> Declined:
    """Return the refusal with this message."""
    return Declined(Problem(slug, message))


def from_error(error: Exception) -> Declined:
    """Return how an error is told; what is nobody's fault but ours becomes `internal`."""
    match error:
        case Declined():
            return error
        case web.HTTPException():
            return _from_aiohttp(error)
        case CommandFailed():
            return declined(BAD_REQUEST if error.status == USAGE else CONFLICT, f"{error.line}.")
        case NotFound():
            return declined(NOT_FOUND, f"There is {error}.")
        case Unacceptable():
            return declined(BAD_REQUEST, f"{error}.")
        case AlreadyExists() | InUse() | CertsError():
            return declined(CONFLICT, f"{error}.")
        case StoreError() | TimeoutError():
            return declined(STORE_UNAVAILABLE, "The store cannot be used at the moment; try again.")
        case _:
            return _internal()


def _from_aiohttp(error: web.HTTPException) -> Declined:
    match error:
        case web.HTTPMethodNotAllowed():
            allow = frozenset(error.allowed_methods)
            return Declined(Problem(METHOD_NOT_ALLOWED, "This method is not known here."), allow)
        case web.HTTPRequestEntityTooLarge():
            return declined(BODY_TOO_LARGE, "The body is too large.")
        case web.HTTPNotFound():
            return declined(NOT_FOUND, "There is nothing here; see /api/v1/openapi.json.")
        case _:
            return _internal()


def _internal() -> Declined:
    message = "Something of ours failed; the gateway's log has the request id."
    return Declined(Problem(INTERNAL, message, processed=Processed.UNKNOWN))
