"""The whole way of a request without sockets: a gateway's door and an agent's carrier, with two sessions between them.

For what is measured or held of the programs' own work alone (bench/path.py, tests/unit/test_request_path.py). What a
socket would carry is handed over by `Way.carry`; everything else is the real thing, access log and audit log included.
"""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, TypeVar

from pydantic import SecretStr

from agent.audit_log import AuditLog
from agent.carrier import Carrier, report
from agent.jira_side import JiraSide
from agent.policy import Policy
from agent.screening import Screening
from agent.switch import Switch
from agent.tally import Tally
from certs.identity import AgentIdentity
from gateway.access_log import AccessLog
from gateway.directory import Directory
from gateway.front_door import FrontDoor
from gateway.outcomes import OutcomeLog
from gateway.registry import AgentLink, Registry
from gateway.sealing import SecretKey
from gateway.store import Agent, Connection, Credentials, Snapshot, Token
from gateway.tokens import hash_token
from http1.client import ClientPool
from http1.limits import Limits, OpenSockets
from http1.memory import Unbounded
from http1.origin import ClientLimits, Origin
from http1.server import ServerProtocol
from http1.sweep import Sweeper
from http1.upstream_socket import UpstreamSocket
from jira_api.protection.protection import Protection
from tunnel.budget import Budget
from tunnel.session import Role, Session

T = TypeVar("T")
TOKEN = b"jtg_" + b"a" * 43
JIRA = b"http://127.0.0.1:9090"
_NEVER_TOO_OLD = ClientLimits(idle_seconds=1e9, idle_seconds_for_writes=1e9)
"""Nothing dials here: a socket that had to wait for a busy machine must still do."""
_QUIET, _ = os.pipe()
"""A descriptor on which nothing ever comes, for the look before a socket is used again."""


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.write = self.written.append

    def writelines(self, pieces: list[bytes]) -> None:
        self.written += pieces

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 40000) if name == "peername" else SimpleNamespace(fileno=lambda: _QUIET)

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Gateway:
    """Everything of a gateway between callers' bytes and its session; `lines` is its access log."""

    def __init__(self, callers: int) -> None:
        now = datetime.now(UTC)
        self.lines: list[str] = []
        self.session = Session(Role.GATEWAY, budget=Budget(), clock=monotonic)
        self.sweeper = Sweeper()
        registry, outcomes = Registry(), OutcomeLog()
        outcomes.access = AccessLog(self.lines.append, partial(datetime.now, UTC))
        rows = (Agent("hq", now),), (), (Connection("hq", "hq", Credentials.AGENT),)
        token = Token("bench", hash_token(TOKEN), now, frozenset({"hq"}))
        directory = Directory(Snapshot(1, *rows, (token,)), SecretKey(SecretStr("k" * 40)))
        url, clock = "http://127.0.0.1:8080", partial(datetime.now, UTC)
        door = FrontDoor(directory, registry, self.sweeper, outcomes, public_url=url, domain=None, wall_clock=clock)
        link = SimpleNamespace(is_usable=True, load=0, open_stream=self.session.open_stream)
        certificate = SimpleNamespace(identity=AgentIdentity("hq", "1"))
        agent_link = AgentLink(certificate, link, "127.0.0.1", now)  # type: ignore[arg-type] # as much as is asked for
        agent_link.settings = {b"jira-url": JIRA}
        registry.add(agent_link)
        sockets = OpenSockets()
        self.callers = [ServerProtocol(door, Limits(), self.sweeper, sockets) for _ in range(callers)]
        self.wires = [Wire() for _ in self.callers]
        for caller, wire in zip(self.callers, self.wires, strict=True):
            caller.connection_made(wire)  # type: ignore[arg-type] # as much of a transport as is used


class OnPremise:
    """Everything of an agent between its session and Jira's bytes."""

    def __init__(self, folder: Path, sockets: int) -> None:
        self.session = Session(Role.AGENT, budget=Budget(), clock=monotonic)
        self.sweeper = Sweeper()
        self.audit = AuditLog(folder / "audit", 1 << 26)
        pool = ClientPool(Origin("127.0.0.1", 9090, None, None, b"127.0.0.1:9090"), self.sweeper, _NEVER_TOO_OLD)
        pool._loop = asyncio.get_running_loop()  # what `run` would set
        protection = Protection(2 * sockets, monotonic)
        side = JiraSide(pool, protection, self.sweeper, Tally(), monotonic, report, self.audit)
        login = SimpleNamespace(is_set=True, inject=lambda headers: headers.append((b"Authorization", b"Bearer x")))
        policy = Policy.from_profiles(["issues"])
        screening = Screening(policy, login, b"", (), b"jira-tunnel/0")  # type: ignore[arg-type] # a login without a file
        self.session.accept = Carrier(screening, side, Switch(folder, lambda: 0)).accept
        self.upstream = [UpstreamSocket(pool, Unbounded()) for _ in range(sockets)]
        self.wires = [Wire() for _ in self.upstream]
        for upstream, wire in zip(self.upstream, self.wires, strict=True):
            upstream.connection_made(wire)  # type: ignore[arg-type] # as above
            pool._open.add(upstream)
            pool.socket_idle(upstream)


class Way:
    """Both, greeted. `carry` takes one request of each caller there and back."""

    def __init__(self, folder: Path, callers: int) -> None:
        """Call it in a running loop."""
        self.gateway = Gateway(callers)
        self.agent = OnPremise(folder, callers)
        self.seconds = {"gateway": 0.0, "agent": 0.0}
        while self._exchange():
            pass

    async def carry(self, request: bytes, answer: bytes) -> list[bytes]:
        """Return what each caller got; `seconds` has grown by the CPU time that each side took."""
        self.gateway.sweeper.now = self.agent.sweeper.now = monotonic()
        self._spend("gateway", lambda: [caller.data_received(request) for caller in self.gateway.callers])
        while await self._turn(answer):  # more than once while a login is on trial
            pass
        return self._collect()

    async def _turn(self, answer: bytes) -> bool:
        """Carry what there is to Jira and back; False when there was nothing."""
        gateway, agent = self.gateway, self.agent
        there = self._spend("gateway", lambda: _messages(gateway.session))
        self._spend("agent", lambda: [agent.session.receive(message) for message in there])
        await self._let_go("agent")
        asked = [pair for pair in zip(agent.upstream, agent.wires, strict=True) if pair[1].written]
        self._spend("agent", lambda: [_answer(*pair, answer) for pair in asked])
        back = self._spend("agent", lambda: _messages(agent.session))
        self._spend("gateway", lambda: [gateway.session.receive(message) for message in back])
        await self._let_go("gateway")
        return bool(there or back)

    def _spend(self, side: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        found = work()
        self.seconds[side] += time.process_time() - began
        return found

    async def _let_go(self, side: str) -> None:
        """Let the loop do what was put off to the end of its turn."""
        began = time.process_time()
        await asyncio.sleep(0)
        self.seconds[side] += time.process_time() - began

    def _collect(self) -> list[bytes]:
        got = [b"".join(wire.written) for wire in self.gateway.wires]
        for wire in self.gateway.wires:
            wire.written.clear()
        self.gateway.lines.clear()
        self.agent.audit._waiting.clear()
        self.agent.audit._waiting_bytes = 0
        return got

    def _exchange(self) -> bool:
        there, back = _messages(self.gateway.session), _messages(self.agent.session)
        for message in there:
            self.agent.session.receive(message)
        for message in back:
            self.gateway.session.receive(message)
        return bool(there or back)


def _answer(upstream: UpstreamSocket, wire: Wire, answer: bytes) -> None:
    wire.written.clear()
    upstream.data_received(answer)


def _messages(session: Session) -> list[bytes]:
    messages = []
    while message := session.take_message():
        messages.append(message)
    return messages
