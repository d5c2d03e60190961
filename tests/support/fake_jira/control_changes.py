"""Commands of the control port that change issues as another user would, one at a time or in a storm.

`issue` is a key or a number, `user` a login name (default ines.ferro). Ids in answers are text, as in Jira's JSON.
"""

from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.changes import AUTHOR
from tests.support.fake_jira.store import Comment, Worklog
from tests.support.fake_jira.storm import MIX
from tests.support.fake_jira.views import milliseconds

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

Arguments = dict[str, Any]


def _user(arguments: Arguments) -> str:
    return str(arguments.get("user", AUTHOR))


def _add_issue(jira: "FakeJira", arguments: Arguments) -> Any:
    """`fields` as of PUT are set before the event goes out."""
    wanted = dict(arguments.get("fields") or {})
    project, user = arguments.get("project", "OPS"), jira.find_user(_user(arguments))
    issue = jira.store.add_issue(jira.store.projects[project], arguments.get("summary", "An issue"), user)
    jira.set_fields(issue, wanted)
    jira.announce_issue(issue, user)
    return {"key": issue.key, "id": issue.id}


def _edit_issue(jira: "FakeJira", arguments: Arguments) -> Any:
    issue = jira.find_issue(arguments["issue"])
    change = jira.edit_issue(issue, _user(arguments), arguments["fields"])
    return {"changelog": str(change.id) if change else None, "updated": milliseconds(issue.updated)}


def _transition_issue(jira: "FakeJira", arguments: Arguments) -> Any:
    change = jira.transition_issue(arguments["issue"], _user(arguments), str(arguments["transition"]))
    return {"changelog": str(change.id) if change else None}


def _delete_issue(jira: "FakeJira", arguments: Arguments) -> Any:
    issue = jira.find_issue(arguments["issue"])
    jira.delete_issue(issue, _user(arguments))
    return {"id": issue.id, "key": issue.key}


def _record(record: Comment | Worklog) -> Any:
    return {"id": str(record.id), "updated": milliseconds(record.updated)}


def _add_comment(jira: "FakeJira", arguments: Arguments) -> Any:
    return _record(jira.add_comment(arguments["issue"], _user(arguments), arguments.get("body", "A comment")))


def _edit_comment(jira: "FakeJira", arguments: Arguments) -> Any:
    body = arguments.get("body", "Changed")
    return _record(jira.edit_comment(arguments["issue"], arguments["comment"], body, _user(arguments)))


def _delete_comment(jira: "FakeJira", arguments: Arguments) -> Any:
    jira.delete_comment(arguments["issue"], arguments["comment"], _user(arguments))
    return {}


def _add_worklog(jira: "FakeJira", arguments: Arguments) -> Any:
    seconds, comment = arguments.get("seconds", 3600), arguments.get("comment", "")
    return _record(jira.add_worklog(arguments["issue"], _user(arguments), seconds, comment))


def _edit_worklog(jira: "FakeJira", arguments: Arguments) -> Any:
    seconds, comment = arguments.get("seconds"), arguments.get("comment")
    return _record(
        jira.edit_worklog(arguments["issue"], arguments["worklog"], _user(arguments), seconds=seconds, comment=comment)
    )


def _delete_worklog(jira: "FakeJira", arguments: Arguments) -> Any:
    jira.delete_worklog(arguments["issue"], arguments["worklog"], _user(arguments))
    return {}


def _emit(jira: "FakeJira", arguments: Arguments) -> Any:
    """Any event, with this payload."""
    jira.emit(arguments["event"], jira.find_user(_user(arguments)), payload=arguments.get("payload") or {})
    return {}


def _storm(jira: "FakeJira", arguments: Arguments) -> Any:
    """Begins it; the answer's `storm` is its number for storm_status."""
    kinds, project = arguments.get("kinds", MIX), arguments.get("project", "OPS")
    jira.storm(arguments["count"], arguments["rate"], kinds, project=project, issues=arguments.get("issues", ()))
    return {"storm": len(jira.storms) - 1}


def _storm_status(jira: "FakeJira", arguments: Arguments) -> Any:
    storm = jira.storms[arguments.get("storm", -1)]
    return storm.status(made=arguments.get("made", True), after=arguments.get("after", 0))


CHANGES = {
    "add_issue": _add_issue,
    "edit_issue": _edit_issue,
    "transition_issue": _transition_issue,
    "delete_issue": _delete_issue,
    "add_comment": _add_comment,
    "edit_comment": _edit_comment,
    "delete_comment": _delete_comment,
    "add_worklog": _add_worklog,
    "edit_worklog": _edit_worklog,
    "delete_worklog": _delete_worklog,
    "emit": _emit,
    "storm": _storm,
    "storm_status": _storm_status,
}
