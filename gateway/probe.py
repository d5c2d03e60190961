"""Asking Jira through a connection, as the gateway itself: `JiraProbe`, and what `connections test` reports.

GET only, one request at a time, a bounded answer, a deadline; not the path of callers' requests.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Final

from gateway.directory import ConnectionEntry
from gateway.errors import Problem, from_reset
from gateway.registry import Registry
from gateway.store import Credentials
from jira_api.server_info import InvalidServerInfo, parse_server_info
from tunnel.errors import ErrorCode, Progress, StreamRefused
from tunnel.heads import NO_BODY, Pairs, RequestHead, ResponseHead
from tunnel.streams import Stream  # noqa: TC001 - one import style; it costs nothing

MAX_ANSWER_BYTES: Final = 256 * 1024
PROBE_SECONDS: Final = 15.0
OK: Final = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a test: `result` is pass, fail or skip; `action` says what to do about a fail."""

    check: str
    result: str
    detail: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Jira's answer to a probe, or our problem with it."""

    status: int = 0
    headers: Pairs = field(default_factory=list)
    body: bytes = b""
    problem: Problem | None = None


class _Collector:
    """One GET on a stream, collected."""

    def __init__(self) -> None:
        self.done: asyncio.Future[ProbeAnswer] = asyncio.get_running_loop().create_future()
        self.stream: Stream | None = None
        self._head: ResponseHead | None = None
        self._body = bytearray()

    def on_response(self, head: ResponseHead) -> None:
        """Keep the head."""
        self._head = head

    def on_data(self, data: bytes) -> None:
        """Keep a bounded part of the body."""
        self._body += data[: MAX_ANSWER_BYTES - len(self._body)]
        if self.stream is not None:
            self.stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """The answer is complete."""
        del trailers
        head = self._head
        if head is not None:
            self._settle(ProbeAnswer(head.status, head.headers, bytes(self._body)))

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """There will be no answer."""
        self._settle(ProbeAnswer(problem=from_reset(code, progress, detail)))

    def on_writable(self) -> None:
        """Nothing is written."""

    def _settle(self, answer: ProbeAnswer) -> None:
        if not self.done.done():
            self.done.set_result(answer)


class JiraProbe:
    """Sends GETs through one connection, with the connection's own login."""

    def __init__(self, connection: ConnectionEntry, registry: Registry) -> None:
        self.connection = connection
        self._registry = registry

    def __repr__(self) -> str:
        return f"<JiraProbe {self.connection.name}>"

    async def get(self, target: bytes, seconds: float = PROBE_SECONDS) -> ProbeAnswer:
        """Return Jira's answer to a GET of `target` (path and query below its base URL), or our problem with it."""
        picked = self._registry.pick(self.connection.agent or "")
        if picked is None:
            return ProbeAnswer(problem=from_reset(ErrorCode.LINK_LOST, Progress.NOT_SENT, "the agent has gone"))
        collector = _Collector()
        try:
            collector.stream = picked.link.open_stream(self._head(target, seconds), collector)
        except StreamRefused as refused:
            return ProbeAnswer(problem=from_reset(refused.code, Progress.NOT_SENT, ""))
        try:
            async with asyncio.timeout(seconds + 1):
                return await collector.done
        except TimeoutError:
            return ProbeAnswer(problem=from_reset(ErrorCode.JIRA_TIMEOUT, Progress.SENT, ""))
        finally:
            if collector.done.cancelled():  # by the deadline, or with whoever asked
                collector.stream.reset(ErrorCode.DEADLINE)

    def _head(self, target: bytes, seconds: float) -> RequestHead:
        connection = self.connection
        headers: Pairs = [(b"Accept", b"application/json")]
        if connection.authorization is not None:
            headers.append((b"Authorization", connection.authorization.get_secret_value()))
        meta = {b"request-id": b"probe", b"caller": b"gateway", b"credentials": connection.credentials.value.encode()}
        return RequestHead(b"GET", target, headers, NO_BODY, int(seconds * 1000), meta)


async def test_connection(connection: ConnectionEntry, registry: Registry) -> list[Check]:
    """Test a connection step by step; a step whose condition failed is skipped."""
    agent = connection.agent
    if agent is None:
        return [Check("route", "fail", "a direct connection", "direct connections cannot be tested yet")]
    links = [link for link in registry.links(agent) if link.link.is_usable]
    if not links:
        action = f"start jira-agent on-premise; see jira-gateway agents show {agent}"
        return [
            Check("agent", "fail", f"{agent} is not connected", action),
            Check("jira", "skip", "no agent"),
            Check("login", "skip", "no agent"),
        ]
    probe = JiraProbe(connection, registry)
    checks = [Check("agent", "pass", f"{agent} is connected with {len(links)} links")]
    jira = _jira_check(await probe.get(b"/rest/api/2/serverInfo"))
    checks.append(jira)
    if jira.result != "pass":
        return [*checks, Check("login", "skip", "no answer from Jira")]
    if connection.credentials is Credentials.CALLER:
        return [*checks, Check("login", "skip", "each caller brings its own login")]
    return [*checks, _login_check(await probe.get(b"/rest/api/2/myself"), connection)]


def _jira_check(answer: ProbeAnswer) -> Check:
    if answer.problem is not None:
        action = "see the agent's log, or jira-agent status on its machine"
        return Check("jira", "fail", f"{answer.problem.slug.name}: {answer.problem.message}", action)
    try:
        info = parse_server_info(answer.body)
    except InvalidServerInfo as invalid:
        detail = f"serverInfo answered {answer.status}: {invalid.reason}"
        return Check("jira", "fail", detail, "check JIRA_AGENT_JIRA_URL, context path included")
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
    except ValueError:
        return "?"
    return str(user.get("name") or user.get("accountId") or "?") if isinstance(user, dict) else "?"
