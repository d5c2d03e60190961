"""An event of Jira and the body of its webhook (docs/facts.md J7.1). Owns the shapes, not the sending."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.people import User
from tests.support.fake_jira.store import Change, Comment, Issue, Worklog
from tests.support.fake_jira.views import milliseconds

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `payload` is the body of an event that is not about an issue's own records."""

    name: str
    user: User | None
    issue: Issue | None = None
    comment: Comment | None = None
    worklog: Worklog | None = None
    change: Change | None = None
    event_type: str | None = None
    payload: dict[str, Any] | None = None

    def subject(self) -> dict[str, str]:
        """The ids of what it is about, for tests that look for its delivery."""
        records = {"issue": self.issue, "comment": self.comment, "worklog": self.worklog, "change": self.change}
        return {name: str(record.id) for name, record in records.items() if record is not None}


def occurrence_of(event: Event, timestamp: int) -> str:
    """What happened, in one text that both events of one comment share: tests compare it with what was received."""
    name = event.name.removeprefix("jira:")
    if event.name in {"jira:issue_created", "jira:issue_deleted"} and event.issue is not None:
        return f"{name.replace('_', '-')}/{event.issue.id}"
    if event.name == "jira:issue_updated" and event.change is not None:
        return f"changelog/{event.change.id}"
    record = event.comment or event.worklog
    if record is not None:
        verb = PAIRED.get(event.event_type or "", name.replace("_", "-"))
        return f"{verb}/{record.id}" + (f"/{milliseconds(record.updated)}" if verb.endswith("updated") else "")
    if event.issue is not None and event.payload is None:
        return f"{name}/{event.issue.id}/{timestamp}"
    thing = next((value for value in (event.payload or {}).values() if isinstance(value, dict)), {})
    return f"{name}/{thing.get('id') or thing.get('key') or thing.get('name')}/{timestamp}"


PAIRED = {
    "issue_commented": "comment-created", "issue_comment_edited": "comment-updated",
    "issue_comment_deleted": "comment-deleted",
}  # fmt: skip


def body_of(jira: "FakeJira", event: Event) -> dict[str, Any]:
    """All but `timestamp` and `webhookEvent`."""
    if event.payload is not None:
        return dict(event.payload)
    if event.worklog is not None and event.issue is not None:
        return {"worklog": jira.views.worklog(event.issue, event.worklog)}
    body: dict[str, Any] = {}
    if event.issue is not None and event.name.startswith("jira:"):
        body = _issue_body(jira, event, event.issue)
    elif event.name != "comment_created":  # a Server's event of a new comment has neither issue nor user
        body["user"] = jira.views.user(event.user)
    if event.comment is not None and event.issue is not None:
        body["comment"] = jira.views.comment(event.issue, event.comment)
        if jira.profile.is_cloud and "issue" not in body:
            body.update(issue=_small_issue(jira, event.issue), eventType="primaryAction")
    return body


def _issue_body(jira: "FakeJira", event: Event, issue: Issue) -> dict[str, Any]:
    body: dict[str, Any] = {"issue_event_type_name": event.event_type} if event.event_type else {}
    fields = jira.views.fields(issue, event.user)
    body.update(user=jira.views.user(event.user), issue={**_identity(jira, issue), "fields": fields})
    if event.change is not None:
        body["changelog"] = {"id": str(event.change.id), "items": event.change.items}
    return body


def _identity(jira: "FakeJira", issue: Issue) -> dict[str, Any]:
    """Cloud's link leaves `issue/` out."""
    path = str(issue.id) if jira.profile.is_cloud else f"issue/{issue.id}"
    return {"id": str(issue.id), "self": jira.views.rest(path), "key": issue.key}


def _small_issue(jira: "FakeJira", issue: Issue) -> dict[str, Any]:
    """What Cloud puts beside a comment."""
    stub = jira.views.issue_stub(issue)["fields"]
    project = {"id": str(issue.project.id), "key": issue.project.key, "name": issue.project.name}
    fields = {**stub, "project": project, "assignee": jira.views.user(issue.assignee)}
    return {**_identity(jira, issue), "fields": fields}
