"""Jira as the gateway's events ask it: any request through one connection, answered whole or not at all.

The account is the connection's own. A login that Jira turns down is told as `JiraSilent`, whichever way that came out:
whoever asks waits for minutes then (`pause_after`), and what guards the login (the agent, or the direct connection's
protection) sends nothing with it until it changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from gateway.asking import ask
from gateway.direct import DirectCarrier
from gateway.directory import ConnectionEntry
from gateway.errors import AGENT_OFFLINE, JIRA_LOGIN_REJECTED, JIRA_PROTOCOL, JIRA_UNREACHABLE, Problem
from gateway.probe import question
from gateway.registry import Opener, Registry
from jira_api.events.fields import load_json
from jira_api.events.requesting import JiraRequest, get
from jira_api.events.times import parse_moment
from jira_api.logins import ADVICE, BY_SLUG, LoginVerdict
from jira_api.server_info import MAX_SERVER_INFO_BYTES, InvalidServerInfo, ServerInfo, parse_server_info
from tunnel.heads import Pairs

MAX_ANSWER_BYTES: Final = 16 << 20
ANSWER_SECONDS: Final = 30.0
LOGIN_PAUSE_SECONDS: Final = 300.0
FIRST_PAUSE_SECONDS: Final = 5.0
LAST_PAUSE_SECONDS: Final = 300.0

_SERVER_INFO: Final = get("/rest/api/2/serverInfo")
_BUSY_SERVER_TRIES: Final = 3  # some answer serverInfo with an empty body now and then (jira_api.server_info)


class JiraSilent(Exception):
    """There is no whole answer of Jira's to this account; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem.slug.name}: {self.problem.message}"

    @property
    def is_login_rejected(self) -> bool:
        """Whether asking again soon would be wrong."""
        return self.problem.slug is JIRA_LOGIN_REJECTED


class DirectWay(Protocol):
    """What is needed of a direct connection's link (gateway.direct_links.DirectLink)."""

    @property
    def link(self) -> DirectCarrier:
        """What takes requests."""


class DirectWays(Protocol):
    """Who knows the ways to Jiras without an agent (gateway.direct_links.DirectConnections)."""

    def pick(self, entry: ConnectionEntry) -> DirectWay | None:
        """Return the way of exactly this version of a connection."""


@dataclass(frozen=True, slots=True)
class JiraAnswer:
    """A whole answer; `login` is how the login went, None when nothing is said against it."""

    status: int
    headers: Pairs = field(default_factory=list)
    body: bytes = field(default=b"", repr=False)
    login: LoginVerdict | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """What a Jira says of itself; `ahead` is its clock minus ours at the moment of asking."""

    info: ServerInfo
    ahead: timedelta


class JiraClient:
    """Asks one Jira. Cheap to make; the login is that of `entry`."""

    def __init__(self, entry: ConnectionEntry, registry: Registry, direct: DirectWays) -> None:
        self.entry = entry
        self.registry = registry
        self.direct = direct

    def __repr__(self) -> str:
        return f"<JiraClient {self.entry.name}>"

    @property
    def is_online(self) -> bool:
        """Whether there is a way to this Jira now."""
        agent = self.entry.agent
        if agent is None:
            return self.direct.pick(self.entry) is not None
        return any(link.link.is_usable for link in self.registry.links(agent))

    async def send(
        self, request: JiraRequest, *, seconds: float = ANSWER_SECONDS, max_bytes: int = MAX_ANSWER_BYTES
    ) -> JiraAnswer:
        """Return Jira's answer; raises `JiraSilent` when there is no whole one, or the login was turned down."""
        asked = question(self.entry, request.target, request.method, request.body)
        reply = await ask(self._opener(), asked, seconds=seconds, max_bytes=max_bytes)
        if reply.problem is not None:
            raise JiraSilent(reply.problem)
        verdict = BY_SLUG.get(reply.login.decode("latin-1")) if reply.login else None
        if verdict is not None and verdict.is_refusal:
            raise JiraSilent(_rejected(verdict))
        return JiraAnswer(reply.status, reply.headers, reply.body, verdict)

    async def send_as_account(
        self, request: JiraRequest, *, seconds: float = ANSWER_SECONDS, max_bytes: int = MAX_ANSWER_BYTES
    ) -> JiraAnswer:
        """As `send`, and raises `JiraSilent` for an answer to nobody in particular: an empty list means nothing."""
        answer = await self.send(request, seconds=seconds, max_bytes=max_bytes)
        if answer.login is not None and answer.login is not LoginVerdict.OK:
            raise JiraSilent(_rejected(answer.login))
        return answer

    async def server(self, clock: Callable[[], datetime]) -> Server:
        """Ask Jira who it is and what time it has; raises `JiraSilent`."""
        for _ in range(_BUSY_SERVER_TRIES - 1):
            try:
                return await self._server(clock)
            except InvalidServerInfo:
                continue
        try:
            return await self._server(clock)
        except InvalidServerInfo as invalid:
            raise JiraSilent(Problem(JIRA_PROTOCOL, f"Its serverInfo cannot be read: {invalid.reason}.")) from None

    async def _server(self, clock: Callable[[], datetime]) -> Server:
        asked_at = clock()
        answer = await self.send(_SERVER_INFO, max_bytes=MAX_SERVER_INFO_BYTES)
        now = asked_at + (clock() - asked_at) / 2
        info = parse_server_info(answer.body)
        told = parse_moment(load_json(answer.body).get("serverTime")) or _date(answer.headers)
        return Server(info, timedelta(0) if told is None else told - now)

    def _opener(self) -> Opener:
        """Return the way to this Jira; raises `JiraSilent`."""
        agent = self.entry.agent
        if agent is None:
            way = self.direct.pick(self.entry)
            if way is None:
                message = "The connection's configuration cannot be used; see the gateway's log."
                raise JiraSilent(Problem(JIRA_UNREACHABLE, message))
            return way.link.own
        link = self.registry.pick(agent)
        if link is None:
            raise JiraSilent(Problem(AGENT_OFFLINE, f"Agent {agent} is not connected."))
        return link.link


def pause_after(silent: JiraSilent, failures: int) -> float:
    """Return the seconds to wait after this many failures in a row: 5 s, doubled up to 5 min; minutes for a login."""
    if silent.is_login_rejected:
        return LOGIN_PAUSE_SECONDS
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures, 1) - 1, 16)
    return min(max(doubled, float(silent.problem.retry_after or 0)), LAST_PAUSE_SECONDS)


def in_words(answer: JiraAnswer) -> str:
    """Return what Jira says in an answer that is an error, for people: its own words, else the status."""
    try:
        document = load_json(answer.body)
    except ValueError:
        document = None
    words: list[object] = []
    if isinstance(document, dict):
        listed, by_field = document.get("errorMessages"), document.get("errors")
        words += listed if isinstance(listed, list) else []
        words += by_field.values() if isinstance(by_field, dict) else []
        words += [document.get("message"), document.get("errorMessage")]
    said = " ".join(word.strip() for word in words if isinstance(word, str) and word.strip())
    text = "".join(filter(str.isprintable, said))[:500]
    return text or f"Jira answered {answer.status}"


def _rejected(verdict: LoginVerdict) -> Problem:
    advice = ADVICE[verdict]
    return Problem(JIRA_LOGIN_REJECTED, f"{advice.meaning} {advice.action}".strip())


def _date(headers: Pairs) -> datetime | None:
    value = next((value for name, value in headers if name.lower() == b"date"), None)
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
