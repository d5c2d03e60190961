"""The key of "the same thing happened in Jira", however we learn of it (docs/events.md has the table).

A webhook and a search that tell of one change give one key, so that whoever keeps events recognises the second.
Keys are short ASCII texts.
"""

import hashlib
import re
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from jira_api.events.fields import MAX_TEXT, count, identifier, member
from jira_api.events.names import PREFIX
from jira_api.events.times import milliseconds, parse_moment

COMMENTED: Final = "issue_commented"
COMMENT_EDITED: Final = "issue_comment_edited"
COMMENT_DELETED: Final = "issue_comment_deleted"
WORK_LOGGED: Final = "issue_work_logged"
WORKLOG_UPDATED: Final = "issue_worklog_updated"
WORKLOG_DELETED: Final = "issue_worklog_deleted"

# `issue_event_type_name` -> what jira:issue_updated and jira:worklog_updated then say about which of the two.
_DONE: Final = {
    COMMENTED: ("comment", "created"),
    COMMENT_EDITED: ("comment", "updated"),
    COMMENT_DELETED: ("comment", "deleted"),
    WORK_LOGGED: ("worklog", "created"),
    WORKLOG_UPDATED: ("worklog", "updated"),
    WORKLOG_DELETED: ("worklog", "deleted"),
}
_PART: Final = re.compile(r"(comment|worklog)_(created|updated|deleted)")
_PART_KEY: Final = re.compile(r"(comment|worklog)-(created|updated|deleted)/")
_NOUN: Final = re.compile(r"(?:jira:)?([a-z]+)_")
_NOUNS: Final = {"issuelink": "issueLink", "option": "property"}
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)


def issue_created(issue_id: str) -> str:
    """Return the key of an issue's creation."""
    return f"issue-created/{issue_id}"


def issue_deleted(issue_id: str) -> str:
    """Return the key of an issue's end."""
    return f"issue-deleted/{issue_id}"


def issue_updated(issue_id: str, updated: datetime) -> str:
    """Return the key of a change that left no trace but the issue's date."""
    return f"issue-updated/{issue_id}/{milliseconds(updated)}"


def changelog(history_id: str) -> str:
    """Return the key of one entry of an issue's history."""
    return f"changelog/{history_id}"


def part_created(part: str, part_id: str) -> str:
    """Return the key of the creation of a `part`, which is `comment` or `worklog`."""
    return f"{part}-created/{part_id}"


def part_updated(part: str, part_id: str, updated: datetime) -> str:
    """Return the key of one change of a comment or worklog."""
    return f"{part}-updated/{part_id}/{milliseconds(updated)}"


def own_event(occurrence: str | None) -> str | None:
    """Return the event that Jira has for what happened to a comment or worklog itself, None for any other key."""
    match = _PART_KEY.match(occurrence) if occurrence else None
    return f"{match[1]}_{match[2]}" if match else None


def occurrence_of(document: dict[str, Any], event: str, body: bytes) -> str:
    """Return the key of the webhook `event` with this `body`, which says `document`."""
    key = None
    if event == "jira:issue_updated":
        key = _of_update(document)
    elif event == "jira:worklog_updated":
        key = _of_named_part(document, "worklog")
    elif event in {"jira:issue_created", "jira:issue_deleted"}:
        issue_id = _id_of(document, "issue")
        of_issue = issue_created if event == "jira:issue_created" else issue_deleted
        key = of_issue(issue_id) if issue_id else None
    elif match := _PART.fullmatch(event):
        key = _of_part(document, match[1], match[2])
    return key or _of_moment(document, event) or of_bytes(body)


def of_bytes(body: bytes) -> str:
    """Return the key of a body that says too little about what happened."""
    return f"body/{hashlib.sha256(body).hexdigest()[:32]}"


def of_identifier(text: str | None) -> str | None:
    """Return the key of a webhook that has nothing but Jira's `X-Atlassian-Webhook-Identifier`."""
    return f"identifier/{text}" if text and _IDENTIFIER.fullmatch(text) else None


def _of_update(document: dict[str, Any]) -> str | None:
    """An update is an entry of the history, or a comment; or neither, and then only its moment tells it apart."""
    history_id = _id_of(document, "changelog")
    if history_id:
        return changelog(history_id)
    comment = member(document, "comment")
    if comment is None:
        return None
    if document.get("issue_event_type_name") is None:  # old servers leave it out
        created = comment.get("created")
        is_new = isinstance(created, str) and created == comment.get("updated")
        return _of_part(document, "comment", "created") if is_new else None
    return _of_named_part(document, "comment")


def _of_named_part(document: dict[str, Any], part: str) -> str | None:
    name = document.get("issue_event_type_name")
    about, done = _DONE.get(name, ("", "")) if isinstance(name, str) else ("", "")
    return _of_part(document, part, done) if about == part else None


def _of_part(document: dict[str, Any], part: str, done: str) -> str | None:
    found = member(document, part)
    part_id = identifier(found.get("id")) if found else None
    if found is None or part_id is None:
        return None
    if done != "updated":
        return f"{part}-{done}/{part_id}"
    updated = parse_moment(found.get("updated"))
    return part_updated(part, part_id, updated) if updated else None


def _of_moment(document: dict[str, Any], event: str) -> str | None:
    """Return event, object and timestamp, None when one of them is missing."""
    stamp = count(document.get("timestamp"))
    noun = _NOUN.match(event)
    if stamp is None or noun is None or event.startswith("issue_property_"):
        return None
    if event in {"jira:issue_updated", "jira:worklog_updated"}:
        event, name = event.removeprefix(PREFIX), _id_of(document, "issue")
    else:
        name = _name_of(member(document, _NOUNS.get(noun[1], noun[1])))
    return f"{event}/{name}/{stamp}" if name else None


def _name_of(found: dict[str, Any] | None) -> str | None:
    """Return what names an object: its id, else its key, else its name."""
    if found is None:
        return None
    for key in ("id", "key", "name", "accountId"):
        name = identifier(found.get(key))
        if name:
            return name
        text = found.get(key)
        if isinstance(text, str) and text:
            name = quote(text[:MAX_TEXT], safe="@", errors="replace")
            if len(name) <= MAX_TEXT and len(text) <= MAX_TEXT:
                return name
    return None


def _id_of(document: dict[str, Any], name: str) -> str | None:
    found = member(document, name)
    return identifier(found.get("id")) if found else None
