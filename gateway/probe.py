"""Asking Jira through a connection, as the gateway itself: `JiraProbe`, and what `connections test` reports.

GET only, one request at a time, a bounded answer, a deadline; not the path of callers' requests.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.admission import Refused
from gateway.directory import ConnectionEntry
from gateway.errors import Problem, from_reset
from gateway.registry import Opener, Registry, RelayStream, Way
from gateway.store import Credentials
from jira_api.server_info import InvalidServerInfo, parse_server_info
from tunnel.errors import ErrorCode, Progress, StreamRefused
from tunnel.heads import NO_BODY, Pairs, RequestHead, ResponseHead

MAX_ANSWER_BYTES: Final = 256 * 1024
PROBE_SECONDS: Final = 15.0
OK: Final = 200

PickDirect = Callable[[ConnectionEntry], Way | None]


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a test: `result` is pass, fail or skip; `action` says what to do about a fail."""

    check: str
    result: str
    detail: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Jira's answer to a probe, or our problem with it; `login` is the agent's verdict on the login, if it sent one."""

    status: int = 0
    headers: Pairs = field(default_factory=list)
    body: bytes = b""
    login: bytes = b""
    problem: Problem | None = None


class _Collector:
    """One GET on a stream, collected."""

    def __init__(self) -> None:
        self.done: asyncio.Future[ProbeAnswer] = asyncio.get_running_loop().create_future()
        self.stream: RelayStream | None = None
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
            self._settle(ProbeAnswer(head.status, head.headers, bytes(self._body), head.meta.get(b"jira-login", b"")))

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """There will be no answer."""
        self._settle(ProbeAnswer(problem=from_reset(code, progress, detail)))

    def on_writable(self) -> None:
        """Nothing is written."""

    def _settle(self, answer: ProbeAnswer) -> None:
        if not self.done.done():
            self.done.set_result(answer)


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
        agent = connection.agent
        way: Way | None = self._pick_direct(connection) if agent is None else self._registry.pick(agent)
        if way is None:
            gone = "the agent has gone" if agent else "its configuration cannot be used; see the gateway's log"
            return ProbeAnswer(problem=from_reset(ErrorCode.LINK_LOST, Progress.NOT_SENT, gone))
        headers: Pairs = []
        if connection.authorization is not None:
            headers.append((b"Authorization", connection.authorization.get_secret_value()))
        return await ask(way.link, target, headers, connection.credentials, seconds)


async def ask(
    link: Opener,
    target: bytes,
    headers: Pairs,
    credentials: Credentials = Credentials.CALLER,
    seconds: float = PROBE_SECONDS,
) -> ProbeAnswer:
    """Return the answer to a GET of `target` through this link, or our problem with it."""
    meta = {b"request-id": b"probe", b"caller": b"gateway", b"credentials": credentials.value.encode()}
    headers = [(b"Accept", b"application/json"), *headers]
    collector = _Collector()
    try:
        head = RequestHead(b"GET", target, headers, NO_BODY, int(seconds * 1000), meta)
        collector.stream = link.open_stream(head, collector)
    except StreamRefused as refused:
        return ProbeAnswer(problem=from_reset(refused.code, Progress.NOT_SENT, ""))
    except Refused as refused:
        return ProbeAnswer(problem=refused.problem)
    try:
        async with asyncio.timeout(seconds + 1):
            return await collector.done
    except TimeoutError:
        return ProbeAnswer(problem=from_reset(ErrorCode.JIRA_TIMEOUT, Progress.SENT, ""))
    finally:
        if collector.done.cancelled():  # by the deadline, or with whoever asked
            collector.stream.reset(ErrorCode.DEADLINE)


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
        checks.append(Check("agent", "pass", f"{agent} is connected with {len(links)} links"))
    probe = JiraProbe(connection, registry, pick_direct)
    jira = _jira_check(await probe.get(b"/rest/api/2/serverInfo"), connection)
    checks.append(jira)
    if jira.result != "pass":
        return [*checks, Check("login", "skip", "no answer from Jira")]
    if connection.credentials is Credentials.CALLER:
        return [*checks, Check("login", "skip", "each caller brings its own login")]
    return [*checks, _login_check(await probe.get(b"/rest/api/2/myself"), connection)]


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
