"""Many light agents in one thread: the real dialling, waiting and links of agents, without a Jira behind them.

    with Fleet(folder, stack, count=100) as fleet:
        wait_until(lambda: fleet.up == 100, "all are there")

Each is an instance of the agent `hq` with a certificate of its own, which the gateway's CA signs here and now.
"""

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Self

from agent.addresses import GatewayAddress
from agent.dialer import Dialer, ProxyRoute, Websocket
from agent.identity import Identity, read_identity, store_identity
from agent.links import LinkCount
from agent.supervisor import Supervisor
from certs.ca import Authority, sign_agent
from certs.ca_directory import CaDirectory
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.identity import AgentIdentity
from certs.keys import make_key
from tests.support.stack import Stack
from tunnel.budget import Budget
from tunnel.heads import RequestHead, ResponseHead
from tunnel.link import Link
from tunnel.session import Role, Session
from tunnel.streams import Stream, StreamReceiver


class _Answered:
    """A request that is answered at once: there is no Jira here."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def on_response(self, head: ResponseHead) -> None:
        pass

    def on_data(self, data: bytes) -> None:
        self._stream.consume(len(data))

    def on_end(self, trailers: object) -> None:
        self._stream.respond(ResponseHead(204, []), end=True)

    def on_reset(self, code: object, progress: object, detail: str) -> None:
        pass

    def on_writable(self) -> None:
        pass


class Fleet:
    """`count` instances with one link each."""

    def __init__(self, folder: Path, stack: Stack, count: int) -> None:
        dialer = Dialer(ProxyRoute(lambda _: None), "fleet")
        self._budget = Budget()
        self._supervisors = [self._supervisor(identity, dialer) for identity in make_identities(folder, stack, count)]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._loop is not None
        assert self._task is not None
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    @property
    def up(self) -> int:
        """How many have a link that takes requests."""
        return sum(supervisor.up > 0 for supervisor in self._supervisors)

    def _supervisor(self, identity: Identity, dialer: Dialer) -> Supervisor:
        return Supervisor(LinkCount(1, 1), dialer, self._make_link, lambda: identity, ())

    def _make_link(self, websocket: Websocket) -> Link:
        return Link(websocket, Session(Role.AGENT, budget=self._budget, clock=monotonic), accept)

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                for supervisor in self._supervisors:
                    tasks.create_task(supervisor.run())
        except asyncio.CancelledError:
            for supervisor in self._supervisors:
                for live in supervisor.links:
                    live.link.abort()


def accept(stream: Stream, head: RequestHead) -> StreamReceiver:
    """Answer every request."""
    del head
    return _Answered(stream)


def make_identities(folder: Path, stack: Stack, count: int) -> list[Identity]:
    """Return the identities of so many instances of the agent `hq`, which the gateway has to know by name."""
    authority = CaDirectory(stack.folder / "gateway" / "ca").authority()
    address = GatewayAddress("127.0.0.1", stack.tunnel_port)
    folder.mkdir(mode=0o700)
    return [_identity(folder / str(number), number, authority, address) for number in range(count)]


def _identity(directory: Path, number: int, authority: Authority, address: GatewayAddress) -> Identity:
    key = make_key()
    certificate = sign_agent(authority, make_csr(key), AgentIdentity("hq", f"light{number}"), datetime.now(UTC))
    store_identity(directory, key, to_pem([certificate]), authority.pem, address)
    return read_identity(directory)
