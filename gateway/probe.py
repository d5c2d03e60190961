"""Asking Jira through a connection, as the gateway itself: `JiraProbe`, and what `connections test` reports.

GET only, one request at a time, a bounded answer, a deadline; not the path of callers' requests.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.asking import Question, Reply, ask
from gateway.directory import ConnectionEntry
from gateway.errors import PAUSED, from_reset
from gateway.registry import AgentLink, Registry, Way
from gateway.store import Credentials
from jira_api.server_info import InvalidServerInfo, parse_server_info
from tunnel.errors import ErrorCode, Progress

MAX_ANSWER_BYTES: Final = 256 * 1024
PROBE_SECONDS: Final = 15.0
OK: Final = 200

ProbeAnswer = Reply
PickDirect = Callable[[ConnectionEntry], Way | None]


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a test: `result` is pass, fail or skip; `action` says what to do about a fail."""

    check: str
    result: str
    detail: str
    action: str = ""


class JiraProbe:
    """Sends GETs through one connection, with the connection's own login; `pick_direct` knows the direct ones."""

    def __init__(
        self, connection: ConnectionEntry, registry: Registry, pick_direct: PickDirect = lambda _: None
    ) -> None:
        self.connection = connection
        self._registry = registry
        self._pick_direct = pick_direct

    def __repr__(self) -> str:
        return f"<JiraProbe {self.connection.name}>"

    async def get(self, target: bytes, seconds: float = PROBE_SECONDS) -> ProbeAnswer:
        """Return Jira's answer to a GET of `target` (path and query below its base URL), or our problem with it."""
        connection = self.connection
        tried: set[int] = set()
        answer: ProbeAnswer | None = None
        while (way := self._pick(tried)) is not None:
            answer = await ask(way.link, question(connection, target), seconds=seconds, max_bytes=MAX_ANSWER_BYTES)
            if answer.problem is None or answer.problem.slug is not PAUSED or not isinstance(way, AgentLink):
                return answer
            tried |= self._registry.siblings(way)  # another instance may not be paused
        if answer is not None:
            return answer
        gone = "the agent has gone" if connection.agent else "its configuration cannot be used; see the gateway's log"
        return ProbeAnswer(problem=from_reset(ErrorCode.LINK_LOST, Progress.NOT_SENT, gone))

    def _pick(self, tried: set[int]) -> Way | None:
        agent = self.connection.agent
        if agent is None:
            return self._pick_direct(self.connection)
        return self._registry.pick(agent, tried)


def question(connection: ConnectionEntry, target: bytes, method: bytes = b"GET", body: bytes = b"") -> Question:
    """Return a request with the login that the connection uses; with a caller's login, without any."""
    secret = connection.authorization
    login = None if secret is None else secret.get_secret_value()
    return Question(target, method, body, login, connection.credentials)


async def test_connection(
    connection: ConnectionEntry,
    registry: Registry,
    pick_direct: PickDirect = lambda _: None,  # noqa: PT028 - this is no test of pytest
) -> list[Check]:
    """Test a connection step by step; a step whose condition failed is skipped."""
    agent = connection.agent
    checks = []
    if agent is not None:
        links = [link for link in registry.links(agent) if link.link.is_usable]
        if not links:
            action = f"start jira-agent on-premise; see jira-gateway agents show {agent}"
            return [
                Check("agent", "fail", f"{agent} is not connected", action),
                Check("jira", "skip", "no agent"),
                Check("login", "skip", "no agent"),
            ]
        checks.append(_agent_check(agent, links))
    probe = JiraProbe(connection, registry, pick_direct)
    jira = _jira_check(await probe.get(b"/rest/api/2/serverInfo"), connection)
    checks.append(jira)
    if jira.result != "pass":
        return [*checks, Check("login", "skip", "no answer from Jira")]
    if connection.credentials is Credentials.CALLER:
        return [*checks, Check("login", "skip", "each caller brings its own login")]
    return [*checks, _login_check(await probe.get(b"/rest/api/2/myself"), connection)]


def _agent_check(agent: str, links: list[AgentLink]) -> Check:
    """Say that the agent is there, and what its administrators have switched, as it says itself."""
    detail = f"{agent} is connected with {len(links)} links"
    paused = {link.identity.instance for link in links if link.settings.get(b"switch") == b"paused"}
    narrowed = {link.identity.instance for link in links if link.settings.get(b"switch") == b"read-only"}
    instances = {link.identity.instance for link in links}
    if paused == instances:
        reasons = sorted({link.settings.get(b"switch-reason", b"").decode("utf-8", "replace") for link in links} - {""})
        why = f" ({'; '.join(reasons)})" if reasons else ""
        action = "ask who administers it; jira-agent resume on its machine lets requests pass"
        return Check("agent", "fail", f"{detail}, but paused by its administrator{why}", action)
    for found, word in ((paused, "paused"), (narrowed, "read-only")):
        if found:
            detail += f"; {len(found)} of {len(instances)} instances {word} by their administrator"
    return Check("agent", "pass", detail)


def _jira_check(answer: ProbeAnswer, connection: ConnectionEntry) -> Check:
    is_direct = connection.agent is None
    if answer.problem is not None:
        action = "see the agent's log, or jira-agent status on its machine"
        if is_direct:
            action = "check --base-url, that Jira runs and that it admits this gateway's address"
        return Check("jira", "fail", f"{answer.problem.slug.name}: {answer.problem.message}", action)
    try:
        info = parse_server_info(answer.body)
    except InvalidServerInfo as invalid:
        detail = f"serverInfo answered {answer.status}: {invalid.reason}"
        return Check(
            "jira",
            "fail",
            detail,
            f"check {'--base-url' if is_direct else 'JIRA_AGENT_JIRA_URL'}, context path included",
        )
    return Check("jira", "pass", f"Jira {info.version} at {info.base_url}")


def _login_check(answer: ProbeAnswer, connection: ConnectionEntry) -> Check:
    if answer.problem is not None:
        return Check("login", "fail", f"{answer.problem.slug.name}: {answer.problem.message}")
    if answer.status == OK:
        return Check("login", "pass", f"as {_user_name(answer.body)}")
    where = "on the agent" if connection.credentials is Credentials.AGENT else "with connections update"
    reason = next((value for name, value in answer.headers if name.lower() == b"x-seraph-loginreason"), b"")
    detail = f"Jira answered {answer.status} {reason.decode('latin-1')}".rstrip()
    return Check("login", "fail", detail, f"set the right user name and password or token {where}; try once")


def _user_name(body: bytes) -> str:
    try:
        user = json.loads(body)
    except (ValueError, RecursionError):
        return "?"
    return str(user.get("name") or user.get("accountId") or "?") if isinstance(user, dict) else "?"
