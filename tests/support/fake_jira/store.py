"""The records of the stand-in: projects, issues, comments, attachments. Pure data and identifiers.

Who may see what is permissions.py; how it looks as JSON is views.py.
"""

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from tests.support.fake_jira.pattern import PatternCheck, pattern_chunks, pattern_sha256
from tests.support.fake_jira.people import User

STATUSES = {"10000": ("To Do", "new", 2), "10010": ("In Progress", "indeterminate", 4), "10001": ("Done", "done", 3)}
PRIORITIES = {"1": "Highest", "2": "High", "3": "Medium", "4": "Low"}
ISSUE_TYPES = {"10001": "Task", "10002": "Bug", "10003": "Sub-task"}
TRANSITIONS = {"11": ("Start work", "10010"), "21": ("Stop work", "10000"), "31": ("Finish", "10001")}
LINK_TYPES = {"10000": ("Blocks", "is blocked by", "blocks"), "10001": ("Relates", "relates to", "relates to")}
SECURITY_LEVELS = {"10031": "Internal", "10032": "Top secret"}


@dataclass(slots=True, eq=False)
class Project:
    """`grants` maps a permission key to the groups that hold it."""

    id: int
    key: str
    name: str
    lead: User
    grants: dict[str, set[str]]
    next_number: int = 1
    security_members: dict[str, set[str]] = field(default_factory=dict)  # level id -> groups


@dataclass(slots=True, eq=False)
class Comment:
    """`visibility` is Jira's {type, value} or None."""

    id: int
    author: User
    body: Any
    created: datetime
    updated: datetime
    update_author: User
    visibility: dict[str, str] | None = None


@dataclass(slots=True, eq=False)
class Worklog:
    """Work done on an issue."""

    id: int
    author: User
    comment: str
    started: datetime
    seconds: int
    created: datetime
    updated: datetime
    update_author: User


@dataclass(slots=True, eq=False)
class Change:
    """One entry of an issue's history; `items` as in the JSON."""

    id: int
    author: User | None
    created: datetime
    items: list[dict[str, Any]]


@dataclass(slots=True, eq=False)
class Link:
    """`outward` blocks `inward` in the sense of the type's outward text."""

    id: int
    type_id: str
    inward: "Issue"
    outward: "Issue"


class Content:
    """An attachment's bytes: kept up to `KEEP_LIMIT`, above that only counted and hashed.

    Bytes that are the deterministic pattern can be given back whatever their size.
    """

    KEEP_LIMIT = 64 * 1024 * 1024
    MEMORY_LIMIT = 1024 * 1024

    def __init__(self) -> None:

        self.size = 0
        self._digest: Any = hashlib.sha256()
        self._sha256: str | None = None
        self._check = PatternCheck()
        self._file: IO[bytes] | None = tempfile.SpooledTemporaryFile(max_size=self.MEMORY_LIMIT)  # noqa: SIM115 - closed by close()

    @classmethod
    def generated(cls, size: int) -> "Content":
        """The first `size` bytes of the pattern, stored nowhere."""
        content = cls()
        content.close()
        content.size = size
        content._sha256 = pattern_sha256(size)
        return content

    def take(self, data: bytes) -> None:
        """Append."""
        self.size += len(data)
        self._digest.update(data)
        self._check.take(data)
        if self._file is None:
            return
        if self.size > self.KEEP_LIMIT:
            self.close()
        else:
            self._file.write(data)

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self._sha256 or str(self._digest.hexdigest())

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes in pieces. Raises LookupError when they were not kept."""
        if self._file is None:
            if not self._check.matches:
                raise LookupError("too large to be kept, and not the pattern")
            yield from pattern_chunks(self.size)
            return
        position = 0
        while position < self.size:
            self._file.seek(position)
            chunk = self._file.read(256 * 1024)
            position += len(chunk)
            yield chunk

    def read(self) -> bytes:
        """All of them."""
        return b"".join(self.chunks())

    def close(self) -> None:
        """Drop the stored bytes."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True, eq=False)
class Attachment:
    """A file on an issue."""

    id: int
    issue: "Issue"
    filename: str
    author: User
    created: datetime
    mime_type: str
    content: Content


@dataclass(slots=True, eq=False)
class Issue:
    """One issue; everything that is not an attribute lives in `extra` under its field id."""

    id: int
    project: Project
    number: int
    summary: str
    reporter: User
    created: datetime
    updated: datetime
    type_id: str = "10001"
    description: Any = None
    status_id: str = "10000"
    priority_id: str = "3"
    assignee: User | None = None
    labels: list[str] = field(default_factory=list)
    resolution: str | None = None
    security: str | None = None
    parent: "Issue | None" = None
    extra: dict[str, Any] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    worklogs: list[Worklog] = field(default_factory=list)
    watchers: list[User] = field(default_factory=list)
    voters: list[User] = field(default_factory=list)
    history: list[Change] = field(default_factory=list)
    children: list["Issue"] = field(default_factory=list)  # store.set_parent
    links: list[Link] = field(default_factory=list)  # store.add_link

    @property
    def key(self) -> str:
        """Such as OPS-42."""
        return f"{self.project.key}-{self.number}"


class Store:
    """All records of one stand-in. `clock_offset` in seconds is by how much its clock differs from the machine's."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.clock = clock or (lambda: datetime.now(UTC))
        self.clock_offset = 0.0
        self.projects: dict[str, Project] = {}
        self.issues: dict[int, Issue] = {}
        self.attachments: dict[int, Attachment] = {}
        self.links: dict[int, Link] = {}
        self._keys: dict[str, Issue] = {}
        self._ids: dict[str, Iterator[int]] = {}

    def now(self) -> datetime:
        """Jira's own idea of the time."""
        return self.clock() + timedelta(seconds=self.clock_offset)

    def next_id(self, kind: str) -> int:
        """A number that no record of this kind has. Kinds count for themselves, as Jira's tables do: a comment and a
        worklog may well have the same number.
        """
        return next(self._ids.setdefault(kind, itertools.count(200_000)))

    def add_issue(self, project: Project, summary: str, reporter: User, **fields: Any) -> Issue:
        """A new issue with the next number of its project (or `number=`, `id=`)."""
        now = fields.pop("created", None) or self.now()
        number = fields.pop("number", project.next_number)
        project.next_number = max(project.next_number, number + 1)
        identifier = fields.pop("id", None) or self.next_id("issue")
        updated = fields.pop("updated", now)
        parent = fields.pop("parent", None)
        issue = Issue(identifier, project, number, summary, reporter, now, updated, **fields)
        self.issues[issue.id] = issue
        self._keys[issue.key] = issue
        self.set_parent(issue, parent)
        return issue

    def set_parent(self, issue: Issue, parent: Issue | None) -> None:
        """Make it a subtask, or none."""
        if issue.parent is not None:
            issue.parent.children.remove(issue)
        issue.parent = parent
        if parent is not None:
            parent.children.append(issue)

    def find_issue(self, id_or_key: str) -> Issue | None:
        """By number or key (keys in any case)."""
        if id_or_key.isdigit():
            return self.issues.get(int(id_or_key))
        return self._keys.get(id_or_key.upper())

    def remove_issue(self, issue: Issue) -> None:
        """With its attachments and links."""
        del self.issues[issue.id]
        del self._keys[issue.key]
        self.set_parent(issue, None)
        for attachment in issue.attachments:
            attachment.content.close()
            self.attachments.pop(attachment.id, None)
        for link in list(issue.links):
            self.remove_link(link)

    def add_link(self, type_id: str, inward: Issue, outward: Issue) -> Link:
        """Between two issues."""
        link = Link(self.next_id("link"), type_id, inward, outward)
        self.links[link.id] = link
        for issue in {inward, outward}:
            issue.links.append(link)
        return link

    def remove_link(self, link: Link) -> None:
        """From both issues."""
        del self.links[link.id]
        for issue in {link.inward, link.outward}:
            issue.links.remove(link)

    def add_comment(self, issue: Issue, author: User, body: Any, visibility: dict[str, str] | None = None) -> Comment:
        """At the end."""
        now = self.now()
        comment = Comment(self.next_id("comment"), author, body, now, now, author, visibility)
        issue.comments.append(comment)
        issue.updated = now
        return comment

    def add_worklog(
        self, issue: Issue, author: User, seconds: int, comment: str = "", started: datetime | None = None
    ) -> Worklog:
        """At the end."""
        now = self.now()
        worklog = Worklog(self.next_id("worklog"), author, comment, started or now, seconds, now, now, author)
        issue.worklogs.append(worklog)
        issue.updated = now
        return worklog

    def add_change(self, issue: Issue, author: User | None, items: list[dict[str, Any]]) -> Change:
        """An entry of the history."""
        now = self.now()
        change = Change(self.next_id("change"), author, now, items)
        issue.history.append(change)
        issue.updated = now
        return change

    def add_attachment(
        self, issue: Issue, author: User, filename: str, content: Content | bytes, mime_type: str = "text/plain"
    ) -> Attachment:
        """`content` as bytes is copied."""
        if isinstance(content, bytes):
            data, content = content, Content()
            content.take(data)
        attachment = Attachment(self.next_id("attachment"), issue, filename, author, self.now(), mime_type, content)
        issue.attachments.append(attachment)
        issue.updated = self.now()
        self.attachments[attachment.id] = attachment
        return attachment

    def remove_attachment(self, attachment: Attachment) -> None:
        """And its bytes."""
        attachment.issue.attachments.remove(attachment)
        del self.attachments[attachment.id]
        attachment.content.close()

    def close(self) -> None:
        """Drop temporary files."""
        for attachment in self.attachments.values():
            attachment.content.close()
