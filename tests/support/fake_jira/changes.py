"""What can happen to an issue: the records change, history grows, and Jira's events go out.

Resources come here after they have judged the caller; tests come here as "another user", who may do everything.
An issue is given as its record, key or number, a user as the account or its login name.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.support.fake_jira.fields import apply_fields, item, value_of
from tests.support.fake_jira.people import People, User
from tests.support.fake_jira.profiles import Profile
from tests.support.fake_jira.store import (
    LINK_TYPES,
    TRANSITIONS,
    Attachment,
    Change,
    Comment,
    Content,
    Issue,
    Link,
    Store,
    Worklog,
)
from tests.support.fake_jira.views import Views

AnIssue = Issue | str | int
Someone = User | str
AUTHOR = "ines.ferro"


class Changes:
    """The part of FakeJira that changes issues."""

    profile: Profile
    people: People
    store: Store
    views: Views
    emit: Any  # of FakeJira
    worklogs_in_history = False  # a real Jira also notes `timespent` in the history when work is logged

    def find_issue(self, issue: AnIssue) -> Issue:
        """The record. Raises KeyError."""
        found = issue if isinstance(issue, Issue) else self.store.find_issue(str(issue))
        if found is None:
            raise KeyError(str(issue))
        return found

    def find_user(self, user: Someone) -> User:
        """The account. Raises KeyError."""
        return user if isinstance(user, User) else self.people.users[user]

    # -- issues

    def add_issue(
        self, summary: str = "An issue", *, project: str = "OPS", reporter: Someone = AUTHOR, **fields: Any
    ) -> Issue:
        """`fields` as of store.Issue."""
        user = self.find_user(reporter)
        issue = self.store.add_issue(self.store.projects[project], summary, user, **fields)
        self.announce_issue(issue, user)
        return issue

    def set_fields(self, issue: Issue, fields: dict[str, Any]) -> list[dict[str, Any]]:
        """Without history and event; returns the changelog items. Raises JiraError."""
        return apply_fields(self, issue, fields)

    def announce_issue(self, issue: Issue, user: User) -> None:
        """Send the event of a new issue. Only on Cloud was one with a changelog seen, which no history has."""
        change = None
        if self.profile.is_cloud:
            items = [item(self, "status", (None, None), value_of(self, issue, "status"))]
            change = Change(self.store.next_id("change"), user, issue.created, items)
        self.emit("jira:issue_created", user, issue=issue, event_type="issue_created", change=change)

    def edit_issue(
        self,
        issue: AnIssue,
        user: Someone = AUTHOR,
        fields: dict[str, Any] | None = None,
        *,
        comments: Sequence[Any] = (),
        **more: Any,
    ) -> Change | None:
        """Set fields as PUT does (`summary="x"`, `priority={"name": "High"}`); `comments` are bodies added with it.

        The entry of the history; None when nothing is different. Raises JiraError.
        """
        issue, user = self.find_issue(issue), self.find_user(user)
        items = apply_fields(self, issue, {**(fields or {}), **more})
        added = [self.store.add_comment(issue, user, body) for body in comments]
        for comment in added:
            self.emit("comment_created", user, issue=issue, comment=comment)
        kind = "issue_assigned" if {i["field"] for i in items} == {"assignee"} else "issue_updated"
        return self._record(issue, user, items, kind, comment=added[-1] if added else None)

    def assign_issue(self, issue: AnIssue, user: Someone, assignee: Someone | None) -> Change | None:
        """To nobody with None."""
        issue, user = self.find_issue(issue), self.find_user(user)
        before = value_of(self, issue, "assignee")
        issue.assignee = None if assignee is None else self.find_user(assignee)
        return self._note(issue, user, "assignee", before, "issue_assigned")

    def transition_issue(
        self, issue: AnIssue, user: Someone = AUTHOR, number: str = "11", fields: dict[str, Any] | None = None
    ) -> Change | None:
        """Go a step of the workflow (store.TRANSITIONS). Raises JiraError for a wrong field."""
        issue, user = self.find_issue(issue), self.find_user(user)
        items = apply_fields(self, issue, fields or {})
        before = {name: value_of(self, issue, name) for name in ("resolution", "status")}
        issue.status_id = TRANSITIONS[number][1]
        issue.resolution = (issue.resolution or "Done") if issue.status_id == "10001" else None
        pairs = [(name, old, value_of(self, issue, name)) for name, old in before.items()]
        items += [item(self, name, old, new) for name, old, new in pairs if old != new]
        return self._record(issue, user, items, "issue_generic")

    def delete_issue(self, issue: AnIssue, user: Someone = AUTHOR) -> None:
        """With its subtasks."""
        issue, user = self.find_issue(issue), self.find_user(user)
        for gone in [*issue.children, issue]:
            self.emit("jira:issue_deleted", user, issue=gone)
            self.store.remove_issue(gone)

    def _note(
        self, issue: Issue, user: User, field: str, before: tuple[str | None, str | None], kind: str
    ) -> Change | None:
        after = value_of(self, issue, field)
        return self._record(issue, user, [item(self, field, before, after)] if before != after else [], kind)

    def _record(
        self, issue: Issue, user: User, items: list[dict[str, Any]], kind: str, comment: Comment | None = None
    ) -> Change | None:
        """One entry of the history and one event; a change of nothing is neither."""
        change = self.store.add_change(issue, user, items) if items else None
        if change is not None:
            self.emit("jira:issue_updated", user, issue=issue, event_type=kind, change=change, comment=comment)
        elif comment is not None:
            self._pair(issue, user, comment, "issue_commented")
        return change

    # -- comments

    def add_comment(
        self, issue: AnIssue, author: Someone, body: Any, visibility: dict[str, str] | None = None
    ) -> Comment:
        """And both events that Jira sends for one comment."""
        issue, author = self.find_issue(issue), self.find_user(author)
        comment = self.store.add_comment(issue, author, body, visibility)
        self.emit("comment_created", author, issue=issue, comment=comment)
        self._pair(issue, author, comment, "issue_commented")
        return comment

    def edit_comment(self, issue: AnIssue, comment: Comment | str | int, body: Any, user: Someone = AUTHOR) -> Comment:
        """Raises KeyError for a comment that the issue does not have."""
        issue, user = self.find_issue(issue), self.find_user(user)
        found = _one(issue.comments, comment)
        found.body, found.update_author = body, user
        found.updated = issue.updated = self.store.now()
        self.emit("comment_updated", user, issue=issue, comment=found)
        self._pair(issue, user, found, "issue_comment_edited")
        return found

    def delete_comment(self, issue: AnIssue, comment: Comment | str | int, user: Someone = AUTHOR) -> None:
        """The issue's `updated` moves, its history does not tell."""
        issue, user = self.find_issue(issue), self.find_user(user)
        found = _one(issue.comments, comment)
        issue.comments.remove(found)
        issue.updated = self.store.now()
        self.emit("comment_deleted", user, issue=issue, comment=found)
        self._pair(issue, user, found, "issue_comment_deleted")

    def _pair(self, issue: Issue, user: User, comment: Comment, kind: str) -> None:
        """The second event of one comment, on-premise only."""
        if not self.profile.is_cloud:
            self.emit("jira:issue_updated", user, issue=issue, comment=comment, event_type=kind)

    # -- worklogs

    def add_worklog(
        self,
        issue: AnIssue,
        user: Someone = AUTHOR,
        seconds: int = 3600,
        comment: str = "",
        started: datetime | None = None,
    ) -> Worklog:
        """And the events of Jira (on-premise two)."""
        issue, user = self.find_issue(issue), self.find_user(user)
        worklog = self.store.add_worklog(issue, user, seconds, comment, started)
        self._tell_worklog("created", issue, user, worklog)
        return worklog

    def edit_worklog(
        self,
        issue: AnIssue,
        worklog: Worklog | str | int,
        user: Someone = AUTHOR,
        *,
        seconds: int | None = None,
        comment: str | None = None,
        started: datetime | None = None,
    ) -> Worklog:
        """What is None stays. Raises KeyError for a worklog that the issue does not have."""
        issue, user = self.find_issue(issue), self.find_user(user)
        found = _one(issue.worklogs, worklog)
        found.seconds = found.seconds if seconds is None else seconds
        found.comment = found.comment if comment is None else comment
        found.started = started or found.started
        found.update_author = user
        found.updated = issue.updated = self.store.now()
        self._tell_worklog("updated", issue, user, found)
        return found

    def delete_worklog(self, issue: AnIssue, worklog: Worklog | str | int, user: Someone = AUTHOR) -> None:
        """The issue's `updated` moves."""
        issue, user = self.find_issue(issue), self.find_user(user)
        found = _one(issue.worklogs, worklog)
        issue.worklogs.remove(found)
        issue.updated = self.store.now()
        self._tell_worklog("deleted", issue, user, found)

    def _tell_worklog(self, verb: str, issue: Issue, user: User, worklog: Worklog) -> None:
        change = None
        if self.worklogs_in_history:
            total = str(sum(each.seconds for each in issue.worklogs))
            change = self.store.add_change(issue, user, [item(self, "timespent", (None, None), (total, total))])
        self.emit(f"worklog_{verb}", user, issue=issue, worklog=worklog)
        if not self.profile.is_cloud:
            self.emit("jira:worklog_updated", user, issue=issue, event_type=WORKLOG_TYPES[verb], change=change)

    # -- attachments and links

    def add_attachment(
        self, issue: AnIssue, filename: str, content: Content | bytes, user: Someone = AUTHOR, kind: str = "text/plain"
    ) -> Attachment:
        """The file, an entry of the history, and both events."""
        issue, user = self.find_issue(issue), self.find_user(user)
        attachment = self.store.add_attachment(issue, user, filename, content, kind)
        self._tell_attachment("attachment_created", attachment, user)
        added = item(self, "Attachment", (None, None), (str(attachment.id), filename))
        self._record(issue, user, [added], "issue_updated")
        return attachment

    def add_generated_attachment(
        self, issue: AnIssue, filename: str, size: int, author: Someone = AUTHOR
    ) -> Attachment:
        """A file of `size` bytes of the pattern that is stored nowhere."""
        return self.add_attachment(issue, filename, Content.generated(size), author, "application/octet-stream")

    def delete_attachment(self, attachment: Attachment, user: Someone = AUTHOR) -> None:
        """The same for its end."""
        user = self.find_user(user)
        self.store.remove_attachment(attachment)
        self._tell_attachment("attachment_deleted", attachment, user)
        removed = item(self, "Attachment", (str(attachment.id), attachment.filename), (None, None))
        self._record(attachment.issue, user, [removed], "issue_updated")

    def _tell_attachment(self, event: str, attachment: Attachment, user: User) -> None:
        self.emit(event, user, issue=attachment.issue, payload={"attachment": self.views.attachment(attachment)})

    def add_link(self, inward: AnIssue, outward: AnIssue, user: Someone = AUTHOR, type_id: str = "10000") -> Link:
        """Both issues get an entry of the history, but the only event is the link's."""
        inward, outward, user = self.find_issue(inward), self.find_issue(outward), self.find_user(user)
        link = self.store.add_link(type_id, inward, outward)
        self._tell_link("issuelink_created", link, user)
        return link

    def delete_link(self, link: Link, user: Someone = AUTHOR) -> None:
        """The same for its end."""
        self.store.remove_link(link)
        self._tell_link("issuelink_deleted", link, self.find_user(user))

    def _tell_link(self, event: str, link: Link, user: User) -> None:
        for issue, other in ((link.inward, link.outward), (link.outward, link.inward)):
            sides = (None, None), (other.key, f"This issue is linked to {other.key}")
            old, new = sides if event.endswith("created") else sides[::-1]
            self.store.add_change(issue, user, [item(self, "Link", old, new)])
        name, inward, outward = LINK_TYPES[link.type_id]
        kind = {"id": int(link.type_id), "name": name, "inwardName": inward, "outwardName": outward}
        ends = {"sourceIssueId": link.inward.id, "destinationIssueId": link.outward.id}
        self.emit(event, user, payload={"issueLink": {"id": link.id, **ends, "issueLinkType": kind}})


WORKLOG_TYPES = {
    "created": "issue_worklogged", "updated": "issue_worklog_updated", "deleted": "issue_worklog_deleted",
}  # fmt: skip


def _one(records: list[Any], wanted: Any) -> Any:
    found = next((record for record in records if record is wanted or str(record.id) == str(wanted)), None)
    if found is None:
        raise KeyError(str(wanted))
    return found
