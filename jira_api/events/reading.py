"""Webhooks of Jira, read: what happened, to which issue, by whom, and the key that tells the same thing again.

Nothing that a body holds makes reading fail: what cannot be read is `unknown` or None. The body itself stays as it is.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jira_api.events.fields import UNKNOWN, actor, event_name, identifier, line, load_json, member
from jira_api.events.occurrences import occurrence_of, of_bytes, of_identifier, own_event
from jira_api.events.times import moment_of, parse_moment
from jira_api.query import query_parameters

_MAX_QUERY: Final = 4096
_MAX_LINK: Final = 2048
_ISSUE_IN_LINK: Final = re.compile(r"/issue/([0-9]{1,19})/(?:comment|worklog)/", re.ASCII)


@dataclass(frozen=True, slots=True)
class JiraEvent:
    """What one webhook says; `occurrence` None is unlike every other, `occurred_at` is by Jira's clock, in UTC."""

    type: str
    occurrence: str | None
    occurred_at: datetime | None = None
    issue_id: str | None = None
    issue_key: str | None = None
    actor: dict[str, str] | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """As which events it counts: a comment's or worklog's own one first, where the issue's came for it."""
        own = own_event(self.occurrence)
        return (self.type,) if own is None or own == self.type else (own, self.type)


def read_event(body: bytes, *, query: str = "", identifier: str | None = None) -> JiraEvent:
    """Read a webhook's body, the query of its URL, and its `X-Atlassian-Webhook-Identifier`. Never raises."""
    if not body or body.isspace():
        return JiraEvent(UNKNOWN, of_identifier(identifier), actor=_actor_of_query(query))
    try:
        document = load_json(body)
    except ValueError:
        return JiraEvent(UNKNOWN, of_identifier(identifier) or of_bytes(body), actor=_actor_of_query(query))
    if not isinstance(document, dict):
        return JiraEvent(UNKNOWN, of_bytes(body), actor=_actor_of_query(query))
    event = event_name(document.get("webhookEvent"))
    issue_id, issue_key = _issue_of(document)
    who = _actor_of(document, event) or _actor_of_query(query)
    return JiraEvent(event, occurrence_of(document, event, body), _moment_of(document), issue_id, issue_key, who)


def _issue_of(document: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the id and key of the issue; a comment of Server names it in its link only (docs/facts.md J7.1)."""
    issue = member(document, "issue")
    issue_id = identifier(issue.get("id")) if issue else None
    issue_key = identifier(issue.get("key")) if issue else None
    part = member(document, "comment") or member(document, "worklog")
    if issue_id is None and part is not None:
        issue_id = identifier(part.get("issueId")) or _issue_in_link(part.get("self"))
    return issue_id, issue_key


def _issue_in_link(link: object) -> str | None:
    match = _ISSUE_IN_LINK.search(link) if isinstance(link, str) and len(link) <= _MAX_LINK else None
    return match[1] if match else None


def _moment_of(document: dict[str, Any]) -> datetime | None:
    moment = moment_of(document.get("timestamp"))
    if moment is None:
        part = member(document, "comment") or member(document, "worklog") or member(member(document, "issue"), "fields")
        moment = parse_moment(part.get("updated")) if part else None
    return moment


def _actor_of(document: dict[str, Any], event: str) -> dict[str, str] | None:
    """Return who did it: the user, or who wrote the comment or worklog unless somebody deleted it."""
    who = None if event.startswith("user_") else actor(document.get("user"))
    part = member(document, "comment") or member(document, "worklog") or member(document, "attachment")
    if who is not None or part is None or event.endswith("_deleted"):
        return who
    editor = part.get("updateAuthor") if event.endswith("_updated") else None
    return actor(editor) or actor(part.get("author"))


def _actor_of_query(query: str) -> dict[str, str] | None:
    """Server and Data Center up to 9 append who did it to the URL (docs/facts.md J7)."""
    if not query or len(query) > _MAX_QUERY:
        return None
    parameters = dict(query_parameters(query.encode("latin-1", "replace")))
    name = line(parameters.get("user_id"))
    account = line(parameters.get("user_key")) or name
    if account is None:
        return None
    return {"id": account, "name": name} if name else {"id": account}
