"""Many changes at a given rate in the background, whatever becomes of their deliveries, and a list of what was made.

Each entry of the list names the issue, the record and `occurrence`: what happened, in one text, worked out from the
records alone (`changelog/<id>`, `comment-updated/<id>/<epoch ms>` …), so that tests can compare it with what arrived.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.store import TRANSITIONS, Comment, Issue, Worklog
from tests.support.fake_jira.views import milliseconds

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

MIX = ("issue", "edit", "comment", "worklog")
USERS = ("ines.ferro", "omar.haddad")
TICK = 0.01  # seconds; above 100 a second several changes share one
YOUNGEST = 25  # changes go to the newest issues of the storm, so that no issue grows without end

Made = dict[str, Any]


@dataclass(slots=True)
class Order:
    """`kinds` are done in turn; `issues` (keys) are changed instead of those that the storm makes."""

    count: int
    rate: float  # per second
    kinds: tuple[str, ...] = MIX
    project: str = "OPS"
    issues: tuple[str, ...] = ()


class Storm:
    """One order being carried out by `run()`."""

    def __init__(self, jira: "FakeJira", order: Order) -> None:
        unknown = set(order.kinds) - KINDS.keys()
        if unknown:
            raise ValueError(f"no such kinds: {', '.join(sorted(unknown))}")
        self.jira = jira
        self.order = order
        self.made: list[Made] = []
        self.started_at = self.ended_at = 0.0  # of the loop's clock
        self.comments: deque[tuple[Issue, Comment]] = deque()
        self.worklogs: deque[tuple[Issue, Worklog]] = deque()
        self.targets: deque[Issue] = deque(maxlen=YOUNGEST)
        if order.issues:
            self.targets = deque(jira.find_issue(key) for key in order.issues)

    @property
    def done(self) -> bool:
        """Whether all was made."""
        return len(self.made) >= self.order.count

    async def run(self) -> None:
        """Make what is due, sleep, go on."""
        loop = asyncio.get_running_loop()
        self.started_at = loop.time()
        while not self.done:
            due = min(self.order.count, int((loop.time() - self.started_at) * self.order.rate) + 1)
            for _ in range(due - len(self.made)):
                self._make_one()
            await asyncio.sleep(max(TICK, 1 / self.order.rate))
        self.ended_at = loop.time()

    def status(self, *, made: bool = True, after: int = 0) -> dict[str, Any]:
        """Counts, and the list from entry `after` on."""
        end = self.ended_at or asyncio.get_running_loop().time()
        counts = {"total": self.order.count, "done": len(self.made), "running": not self.done}
        return {**counts, "seconds": end - self.started_at, **({"made": self.made[after:]} if made else {})}

    def _make_one(self) -> None:
        number = len(self.made)
        kind = self.order.kinds[number % len(self.order.kinds)]
        user = USERS[number % len(USERS)]
        kind, issue, more = KINDS[kind](self, number, user)
        moment = milliseconds(self.jira.store.now())
        self.made.append({"kind": kind, "issue": str(issue.id), "key": issue.key, "at": moment, **more})

    def target(self, number: int, user: str) -> Issue:
        """An issue to change: in turn those that were asked for or the newest ones."""
        while self.targets:
            issue = self.targets[number % len(self.targets)]
            if issue.id in self.jira.store.issues:
                return issue
            self.targets.remove(issue)
        return new_issue(self, number, user)[1]


Step = tuple[str, Issue, Made]


def new_issue(storm: Storm, number: int, user: str) -> Step:
    issue = storm.jira.add_issue(f"Storm {number}", project=storm.order.project, reporter=user)
    if not storm.order.issues:
        storm.targets.append(issue)
    return "issue", issue, {"occurrence": f"issue-created/{issue.id}"}


def _edit(storm: Storm, number: int, user: str) -> Step:
    issue = storm.target(number, user)
    change = storm.jira.edit_issue(issue, user, summary=f"Storm {issue.number}, change {number}")
    return "edit", issue, _of_change(change.id if change else None)


def _transition(storm: Storm, number: int, user: str) -> Step:
    issue = storm.target(number, user)
    step = next(step for step, (_, target) in TRANSITIONS.items() if target != issue.status_id)
    change = storm.jira.transition_issue(issue, user, step)
    return "transition", issue, _of_change(change.id if change else None)


def _of_change(number: int | None) -> Made:
    return {"changelog": str(number), "occurrence": f"changelog/{number}"}


def _delete_issue(storm: Storm, number: int, user: str) -> Step:
    issue = storm.target(number, user)
    storm.jira.delete_issue(issue, user)
    storm.comments = deque(pair for pair in storm.comments if pair[0] is not issue)
    storm.worklogs = deque(pair for pair in storm.worklogs if pair[0] is not issue)
    return "delete_issue", issue, {"occurrence": f"issue-deleted/{issue.id}"}


def _comment(storm: Storm, number: int, user: str) -> Step:
    issue = storm.target(number, user)
    comment = storm.jira.add_comment(issue, user, f"Storm comment {number}")
    storm.comments.append((issue, comment))
    return "comment", issue, {"comment": str(comment.id), "occurrence": f"comment-created/{comment.id}"}


def _edit_comment(storm: Storm, number: int, user: str) -> Step:
    if not storm.comments:
        return _comment(storm, number, user)
    issue, comment = storm.comments[0]
    storm.comments.rotate(-1)
    storm.jira.edit_comment(issue, comment, f"Storm comment, change {number}", user)
    name = f"comment-updated/{comment.id}/{milliseconds(comment.updated)}"
    return "edit_comment", issue, {"comment": str(comment.id), "occurrence": name}


def _delete_comment(storm: Storm, number: int, user: str) -> Step:
    if not storm.comments:
        return _comment(storm, number, user)
    issue, comment = storm.comments.popleft()
    storm.jira.delete_comment(issue, comment, user)
    return "delete_comment", issue, {"comment": str(comment.id), "occurrence": f"comment-deleted/{comment.id}"}


def _worklog(storm: Storm, number: int, user: str) -> Step:
    issue = storm.target(number, user)
    worklog = storm.jira.add_worklog(issue, user, 60 + number)
    storm.worklogs.append((issue, worklog))
    return "worklog", issue, {"worklog": str(worklog.id), "occurrence": f"worklog-created/{worklog.id}"}


def _edit_worklog(storm: Storm, number: int, user: str) -> Step:
    if not storm.worklogs:
        return _worklog(storm, number, user)
    issue, worklog = storm.worklogs[0]
    storm.worklogs.rotate(-1)
    storm.jira.edit_worklog(issue, worklog, user, seconds=120 + number)
    name = f"worklog-updated/{worklog.id}/{milliseconds(worklog.updated)}"
    return "edit_worklog", issue, {"worklog": str(worklog.id), "occurrence": name}


def _delete_worklog(storm: Storm, number: int, user: str) -> Step:
    if not storm.worklogs:
        return _worklog(storm, number, user)
    issue, worklog = storm.worklogs.popleft()
    storm.jira.delete_worklog(issue, worklog, user)
    return "delete_worklog", issue, {"worklog": str(worklog.id), "occurrence": f"worklog-deleted/{worklog.id}"}


KINDS: dict[str, Callable[[Storm, int, str], Step]] = {
    "issue": new_issue,
    "edit": _edit,
    "transition": _transition,
    "delete_issue": _delete_issue,
    "comment": _comment,
    "edit_comment": _edit_comment,
    "delete_comment": _delete_comment,
    "worklog": _worklog,
    "edit_worklog": _edit_worklog,
    "delete_worklog": _delete_worklog,
}
