"""Why was that? The memory of recent answers that were no plain success, and their explanation afterwards.

Remembers who asked for what and how it went, login headers included; never a query, a body or any other header value.
Bounded by count and by the size of every field. What an answer of Jira means is jira_api.permissions.causes'
knowledge; what an answer of ours means stands in the table here, beside the message that the caller got.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.errors import Problem
from jira_api.logins import BY_SLUG, LoginVerdict, classify_login
from jira_api.permissions.causes import Explanation, JirasAnswer, likely_cause, subject_of
from runtime.exits import CommandFailed
from tunnel.heads import Pairs, ResponseHead

MAX_REMEMBERED: Final = 4096
MAX_TEXT: Final = 200

# Headers that say how a login went or what kind of answer it was; Location without its query.
_EVIDENCE: Final = {
    b"x-seraph-loginreason": "X-Seraph-LoginReason",
    b"x-authentication-denied-reason": "X-Authentication-Denied-Reason",
    b"x-ausername": "X-AUSERNAME",
    b"www-authenticate": "WWW-Authenticate",
    b"content-type": "Content-Type",
    b"location": "Location",
    b"retry-after": "Retry-After",
    b"x-arequestid": "X-AREQUESTID",
}

_ACTIONS: Final[dict[str, str]] = {
    "unauthenticated": "Create a token with jira-gateway tokens create, or renew the one that has expired.",
    "forbidden": "Look at what the token may do: jira-gateway tokens list.",
    "connection_unknown": "Compare with jira-gateway connections list.",
    "policy_denied": "Let the on-premise administrator decide: jira-agent policy check METHOD PATH says which rule is "
    "missing.",
    "agent_offline": "Start the agent, or see jira-gateway agents show.",
    "overloaded": "Send less at once, or raise JIRA_AGENT_MAX_CONCURRENCY if Jira can bear it.",
    "paused": "The on-premise administrator resumes it: jira-agent resume.",
    "jira_login_rejected": "Set the right credentials; nothing is sent with the old ones any more.",
    "jira_unavailable": "See whether Jira runs; jira-gateway connections test says what it answers.",
    "jira_unreachable": "See whether Jira runs and listens where JIRA_AGENT_JIRA_URL says.",
    "jira_tls": "Check JIRA_AGENT_JIRA_CA_FILE and the name in Jira's certificate.",
    "jira_timeout": "Ask for less, or raise the connection's --timeout.",
    "rate_limited": "Send less, or raise the token's --rate.",
}


@dataclass(frozen=True, slots=True)
class Remembered:
    """One request and what became of it. `status` is what the caller saw, `problem` is set when it was ours."""

    request_id: str
    connection: str
    caller: str
    method: str
    path: str
    status: int
    at: datetime
    login: LoginVerdict | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None


class RecentAnswers:
    """The last answers worth explaining, by request id; the only owner of that memory."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._answers: OrderedDict[str, Remembered] = OrderedDict()

    def __repr__(self) -> str:
        return f"<RecentAnswers {len(self._answers)} of {self._limit}>"

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, remembered: Remembered) -> None:
        """Remember an answer; a later word on the same request replaces the first, the oldest request goes."""
        self._answers[remembered.request_id] = remembered
        if len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    def find(self, connection: str, request_id: str) -> Remembered | None:
        """Return the answer to a request on this connection; on another one it stays unknown."""
        found = self._answers.get(request_id)
        return found if found is not None and found.connection == connection else None


class NotRemembered(Exception):
    """No such request is remembered: it went well, is too long ago, or never was on this connection."""

    def __init__(self, connection: str, request_id: str) -> None:
        super().__init__(f"no answer of {request_id} on {connection} is remembered")
        self.connection = connection
        self.request_id = request_id


def is_worth_remembering(head: ResponseHead) -> bool:
    """Say whether anybody could ask why: every answer but a plain success. Runs on the request path."""
    return head.status >= 300 or head.meta.get(b"jira-login", b"ok") != b"ok"


def from_jira(head: ResponseHead, request: Remembered) -> Remembered:
    """Return the memory of an answer of Jira to `request`, which knows everything but the answer."""
    told = BY_SLUG.get(head.meta.get(b"jira-login", b"").decode("latin-1"))
    login = told or classify_login(head.status, head.headers, request.path)
    return Remembered(
        request.request_id,
        request.connection,
        request.caller,
        request.method,
        request.path,
        head.status,
        request.at,
        login,
        _evidence(head.headers),
    )


def explain(recent: RecentAnswers, connection: str, request_id: str) -> dict[str, Any]:
    """Return the most likely cause of an answer with the evidence for it.

    Raises:
        NotRemembered: there is nothing to explain.
    """
    found = recent.find(connection, request_id)
    if found is None:
        raise NotRemembered(connection, request_id)
    explanation = _of_ours(found.problem) if found.problem is not None else likely_cause(_jiras(found))
    return {
        "connection": found.connection,
        "request_id": found.request_id,
        "at": found.at.isoformat(timespec="seconds"),
        "caller": found.caller,
        "method": found.method,
        "path": found.path,
        "status": found.status,
        "answered_by": "jira" if found.problem is None else found.problem.source.value,
        "cause": explanation.cause,
        "text": explanation.text,
        "also": list(explanation.also),
        "action": explanation.action,
        "permissions": list(explanation.permissions),
        "next": _next(found, explanation),
        "evidence": _evidence_lines(found),
    }


async def explain_command(arguments: dict[str, Any], recent: RecentAnswers) -> dict[str, Any]:
    """Serve the control socket's `explain`; raises `CommandFailed`."""
    name, request_id = str(arguments.get("name", "")), str(arguments.get("request_id", ""))
    try:
        return explain(recent, name, request_id)
    except NotRemembered:
        line = (
            f"nothing is remembered of {request_id} on {name}: it went well, it is more than {MAX_REMEMBERED} failures "
            "ago, the gateway was restarted, or the id is another connection's"
        )
        raise CommandFailed(line) from None


def _jiras(found: Remembered) -> JirasAnswer:
    content_type, location = found.headers.get("Content-Type", ""), found.headers.get("Location", "")
    return JirasAnswer(found.method, found.path, found.status, found.login, content_type, location)


def _next(found: Remembered, explanation: Explanation) -> str:
    """Return the command that shows what the account lacks; "" where no permission is in question."""
    if not explanation.need:
        return ""
    subject = subject_of(found.path)
    options = {"--issue": subject.issue, "--project": None if subject.issue else subject.project}
    chosen = "".join(f" {option} {key}" for option, key in options.items() if key)
    return f"jira-gateway connections permissions {found.connection}{chosen} --need {explanation.need}"


def _of_ours(problem: Problem) -> Explanation:
    slug = problem.slug.name
    return Explanation(slug, problem.message, _ACTIONS.get(slug, ""))


def _evidence(headers: Pairs) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in headers:
        shown = _EVIDENCE.get(name.lower())
        if shown is not None:
            text = value.partition(b"?")[0] if shown == "Location" else value
            kept[shown] = text[:MAX_TEXT].decode("latin-1")
    return kept


def _evidence_lines(found: Remembered) -> list[str]:
    lines = [f"{found.method} {found.path} -> {found.status}"]
    if found.problem is not None:
        lines += [f"Tunnel-Error: {found.problem.slug.name}", f"Tunnel-Processed: {found.problem.processed.value}"]
    if found.login is not None:
        lines.append(f"login: {found.login.slug}")
    return [*lines, *(f"{name}: {value}" for name, value in found.headers.items())]
