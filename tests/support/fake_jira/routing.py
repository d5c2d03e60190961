"""Which resource answers which method and path, and the errors that resources raise."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.support.fake_jira.exchange import Answer, Request

Resource = Callable[..., Awaitable[Answer]]


class JiraError(Exception):
    """Answered as Jira's usual {"errorMessages", "errors"}."""

    def __init__(self, status: int, *messages: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(status, *messages)
        self.answer = Answer.json({"errorMessages": list(messages), "errors": errors or {}}, status)


class Situation(Exception):
    """Answered with this entry of fixtures/errors.json."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Route:
    """A resource. `anonymous` says that it answers without a login."""

    pattern: re.Pattern[str]
    resource: Resource
    anonymous: bool


class Routes:
    """A table of resources; `{name}` in a template is one segment, `{name*}` the rest."""

    def __init__(self) -> None:
        self._by_method: dict[str, list[Route]] = {}

    def add(self, methods: str, template: str, *, anonymous: bool = False) -> Callable[[Resource], Resource]:
        """Decorator: register for the space-separated methods."""
        expression = re.sub(r"\\{(\w+)(\\\*)?\\}", _group, re.escape(template))
        pattern = re.compile(expression)

        def register(resource: Resource) -> Resource:
            for method in methods.split():
                self._by_method.setdefault(method, []).append(Route(pattern, resource, anonymous))
            return resource

        return register

    def include(self, other: "Routes") -> None:
        """Take over another table's resources."""
        for method, routes in other._by_method.items():
            self._by_method.setdefault(method, []).extend(routes)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The first route that matches; HEAD follows GET."""
        for route in self._by_method.get("GET" if method == "HEAD" else method, ()):
            match = route.pattern.fullmatch(path)
            if match is not None:
                return route, match.groupdict()
        return None

    def methods_of(self, path: str) -> list[str]:
        """Methods that the path has."""
        return [m for m, routes in self._by_method.items() if any(r.pattern.fullmatch(path) for r in routes)]


def _group(match: re.Match[str]) -> str:
    return f"(?P<{match[1]}>.*)" if match[2] else f"(?P<{match[1]}>[^/]+)"


async def json_body(request: Request) -> Any:
    """The JSON body. Raises JiraError 400 as Jira does for text that is not JSON."""
    try:
        return await request.json()
    except ValueError as error:
        raise JiraError(400, f"Unexpected character: {error}") from None


SHAPES: dict[str, type | tuple[type, ...]] = {
    "fields": dict, "update": dict, "transition": dict, "issueUpdates": list, "issues": list, "events": list,
    "filters": dict, "configuration": dict, "type": dict, "inwardIssue": dict, "outwardIssue": dict,
    "visibility": dict, "comment": (dict, str),
}  # fmt: skip


async def json_object(request: Request, shapes: dict[str, type | tuple[type, ...]] | None = None) -> dict[str, Any]:
    """The JSON body as an object whose known members have the right type. Raises JiraError 400 as Jackson does."""
    value = await json_body(request)
    if not isinstance(value, dict):
        raise JiraError(400, "Can not instantiate value of type [simple type] from JSON")
    for name, shape in (SHAPES if shapes is None else shapes).items():
        if value.get(name) is not None and not isinstance(value[name], shape):
            raise JiraError(400, f"Can not deserialize '{name}' out of {type(value[name]).__name__}")
    return value


def page_numbers(request: Request, default: int = 50, cap: int = 1000) -> tuple[int, int]:
    """startAt and maxResults of the query."""
    try:
        start = int(request.parameter("startAt") or 0)
        count = int(request.parameter("maxResults") or default)
    except ValueError:
        raise JiraError(400, "startAt and maxResults must be integers") from None
    return max(0, start), min(cap, count if count >= 0 else default)
