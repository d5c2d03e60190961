"""What to ask Jira's search for changes since a moment, and how its pages are read (`finding` makes events of them).

Server and Data Center page by number, Cloud by token, and both may list only some comments and worklogs of an issue.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jira_api.events.fields import count, identifier, load_json, member, members
from jira_api.events.finding import FoundEvent, found_events
from jira_api.events.requesting import JiraRequest, get, send
from jira_api.events.times import jql_moment
from jira_api.server_info import ServerInfo

__all__ = [
    "FoundEvent",
    "InvalidPage",
    "Page",
    "comments_of",
    "found_events",
    "incomplete_parts",
    "read_page",
    "search",
    "updated_since",
    "with_comments",
    "with_worklogs",
    "worklogs_of",
]

MAX_PAGE_BYTES: Final = 64 * 1024 * 1024
MAX_TOKEN: Final = 4096
_PART_PAGE: Final = 1000

# JQL knows \ escapes and two sorts of quotes; ORDER and BY are reserved, so unquoted they are the clause.
_ORDER_BY: Final = re.compile(
    r"""\\. | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | (?<![\w.-])(?P<clause>order\s+by)(?![\w.-])""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class InvalidPage(Exception):
    """An answer that is no page of what was asked for; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Page:
    """Issues of a search, and where the next ones start: a number or a token, neither after the last page."""

    issues: list[dict[str, Any]]
    next_start: int | None
    next_token: str | None


def search(server: ServerInfo, jql: str, *, start: int = 0, token: str | None = None, page: int = 50) -> JiraRequest:
    """Ask for a page of issues with all fields and their history."""
    if not server.is_cloud:
        document: dict[str, Any] = {"jql": jql, "startAt": start, "maxResults": page}
        document.update(fields=["*all"], expand=["changelog"])
        return send(b"POST", "/rest/api/2/search", document)
    document = {"jql": jql, "maxResults": page, "fields": ["*all"], "expand": "changelog"}
    if token is not None:
        document["nextPageToken"] = token
    return send(b"POST", "/rest/api/2/search/jql", document)


def comments_of(issue_id: str, start: int = 0) -> JiraRequest:
    """Ask for the comments of an issue, a thousand at most; `issue_id` is one that a page named."""
    return get(f"/rest/api/2/issue/{issue_id}/comment?startAt={start}&maxResults={_PART_PAGE}")


def worklogs_of(issue_id: str, start: int = 0) -> JiraRequest:
    """Ask for the worklogs of an issue; Cloud pages them, the others answer with all."""
    return get(f"/rest/api/2/issue/{issue_id}/worklog?startAt={start}&maxResults={_PART_PAGE}")


def updated_since(jql: str | None, since: datetime, zone: str | None, now: datetime) -> str:
    """Return the JQL for the issues of `jql` that changed since then, oldest first.

    `zone` is the time zone of the account that will search. It finds too much rather than too little: it is exact to
    the minute, and to the hour where clocks are changed. `now`, by Jira's clock, is needed where the zone is unknown.
    """
    condition = f'updated >= "{jql_moment(since, zone, now)}" ORDER BY updated ASC, key ASC'
    wanted = _without_order(jql or "").strip()
    return f"({wanted}) AND {condition}" if wanted else condition


def _without_order(jql: str) -> str:
    for match in _ORDER_BY.finditer(jql):
        if match["clause"]:
            return jql[: match.start()]
    return jql


def read_page(body: bytes) -> Page:
    """Read an answer to `search`; what is no issue with an id is left out.

    Raises:
        InvalidPage: it is no page of a search.
    """
    document = _read_object(body)
    if not isinstance(document.get("issues"), list):
        raise InvalidPage("it lists no issues")
    listed = len(document["issues"])
    issues = [issue for issue in members(document, "issues") if identifier(issue.get("id")) is not None]
    token = document.get("nextPageToken")
    if isinstance(token, str) and 0 < len(token) <= MAX_TOKEN and document.get("isLast") is not True:
        return Page(issues, None, token)
    start, total = count(document.get("startAt")), count(document.get("total"))
    more = listed > 0 and start is not None and total is not None and start + listed < total
    return Page(issues, start + listed if more and start is not None else None, None)


def _read_object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_PAGE_BYTES:
        raise InvalidPage(f"it is larger than {MAX_PAGE_BYTES} bytes")
    try:
        document = load_json(body)
    except ValueError:
        raise InvalidPage("it is no JSON") from None
    if not isinstance(document, dict):
        raise InvalidPage("it is no JSON object")
    return document


def incomplete_parts(issue: dict[str, Any]) -> tuple[bool, bool]:
    """Tell whether the issue lists only some of its comments, and of its worklogs."""
    fields = member(issue, "fields")
    return _is_incomplete(fields, "comment", "comments"), _is_incomplete(fields, "worklog", "worklogs")


def _is_incomplete(fields: dict[str, Any] | None, name: str, lists: str) -> bool:
    listing = member(fields, name)
    total = count(listing.get("total")) if listing else None
    return total is not None and total > len(members(listing, lists))


def with_comments(issue: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the issue with the comments of an answer to `comments_of` added to those that it lists.

    Raises:
        InvalidPage: it is no list of comments.
    """
    return _with_part(issue, body, "comment", "comments")


def with_worklogs(issue: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the issue with the worklogs of an answer to `worklogs_of` added to those that it lists.

    Raises:
        InvalidPage: it is no list of worklogs.
    """
    return _with_part(issue, body, "worklog", "worklogs")


def _with_part(issue: dict[str, Any], body: bytes, name: str, lists: str) -> dict[str, Any]:
    document = _read_object(body)
    if not isinstance(document.get(lists), list):
        raise InvalidPage(f"it lists no {lists}")
    fields = member(issue, "fields") or {}
    # What was fetched later is newer, so it replaces what the search said of the same comment.
    merged = {identifier(one.get("id")): one for one in members(fields.get(name), lists) + members(document, lists)}
    merged.pop(None, None)
    listing = {"startAt": 0, "maxResults": len(merged), "total": count(document.get("total")) or len(merged)}
    return {**issue, "fields": {**fields, name: {**listing, lists: list(merged.values())}}}
