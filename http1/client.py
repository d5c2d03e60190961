"""A pool of keep-alive sockets towards one upstream server.

It sends what it is given, once. It never retries, redirects, decodes or keeps cookies: whoever called knows from
`Progress` whether trying again is safe.
"""

import asyncio
import ssl
from collections.abc import Sequence

from http1.call import Call
from http1.encoding import encode_request
from http1.errors import FailureKind
from http1.memory import Memory, Unbounded
from http1.messages import RequestHead
from http1.origin import ClientLimits, DialAddress, Origin, ResponseReceiver
from http1.sweep import NEVER, Sweeper
from http1.upstream_socket import UpstreamSocket

__all__ = ["Call", "ClientLimits", "ClientPool", "Origin", "ResponseReceiver"]

_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class ClientPool:
    """The sockets towards one origin. `run` opens new ones; what is started before it begins waits for it."""

    def __init__(
        self, origin: Origin, sweeper: Sweeper, limits: ClientLimits | None = None, memory: Memory | None = None
    ) -> None:
        """`memory`: None where nothing large is carried."""
        self.origin = origin
        self._memory: Memory = memory if memory is not None else Unbounded()
        self.deadline = NEVER
        self._limits = limits if limits is not None else ClientLimits()
        self._sweeper = sweeper
        self._idle: list[UpstreamSocket] = []  # the one idle for the shortest time is last
        self._open: set[UpstreamSocket] = set()
        self._early: list[Call] = []  # started before `run`
        self._has_ended = False
        self._group: asyncio.TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def idle(self) -> int:
        """Sockets without a call."""
        return len(self._idle)

    @property
    def active(self) -> int:
        """Sockets with a call."""
        return len(self._open) - len(self._idle)

    async def run(self) -> None:
        """Own the connection attempts until cancelled; then every socket closes and every call fails."""
        self._loop = asyncio.get_running_loop()
        self._sweeper.add(self)
        try:
            async with asyncio.TaskGroup() as self._group:
                early, self._early = self._early, []
                for call in early:
                    self._group.create_task(self._connect(call))
                await self._loop.create_future()
        finally:
            self._group = None
            self._has_ended = True
            self._sweeper.discard(self)
            for upstream in list(self._open):
                upstream.shut()

    def start(self, head: RequestHead, receiver: ResponseReceiver) -> Call:
        """Send a request: on an idle socket when its method allows, else on a new one.

        The receiver is never called before this returns. Raises UnsendableHead.
        """
        call = Call(head.method, encode_request(head, self.origin.host_header), head.body, receiver)
        upstream = self._take(head.method)
        if upstream is not None:
            upstream.begin(call)
        elif self._group is not None:
            self._group.create_task(self._connect(call))
        elif not self._has_ended:
            self._early.append(call)
        else:
            raise RuntimeError("this pool has ended")
        return call

    def expire(self, now: float) -> None:
        """Close the sockets that were idle for too long."""
        while self._idle and now - self._idle[0].idle_since > self._limits.idle_seconds:
            self._idle[0].close()
        self.deadline = now if self._idle else NEVER

    def socket_idle(self, socket: UpstreamSocket) -> None:
        """Keep a clean socket for the next call."""
        socket.idle_since = self._time()
        self._idle.append(socket)
        self.deadline = self._sweeper.now
        if len(self._idle) > self._limits.max_idle:
            self._idle[0].close()

    def socket_gone(self, socket: UpstreamSocket) -> None:
        """Forget a socket."""
        self._open.discard(socket)
        if socket in self._idle:
            self._idle.remove(socket)

    def _take(self, method: bytes) -> UpstreamSocket | None:
        limits = self._limits
        allowed = limits.idle_seconds if method in _REPEATABLE else limits.idle_seconds_for_writes
        while self._idle and self._time() - self._idle[-1].idle_since < allowed:
            if self._idle[-1].is_reusable():
                return self._idle.pop()
            self._idle[-1].close()
        return None

    def _time(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    async def _connect(self, call: Call) -> None:
        """Open a socket for a call, or report why there is none."""
        try:
            upstream = await self._open_socket()
        except TimeoutError:
            seconds = self._limits.connect_seconds
            call.fail(FailureKind.UNREACHABLE, f"{self._where()} did not accept a connection within {seconds:g} s.")
        except ssl.SSLCertVerificationError as error:
            call.fail(FailureKind.TLS, f"The certificate of {self._where()} was not accepted: {error.verify_message}.")
        except ssl.SSLError as error:
            call.fail(FailureKind.TLS, f"No TLS with {self._where()}: {error.reason or error}.")
        except OSError as error:
            call.fail(FailureKind.UNREACHABLE, f"{self._where()} cannot be reached: {error.strerror or error}.")
        except asyncio.CancelledError:
            call.fail(FailureKind.UNREACHABLE, "The connection pool is shutting down.")
            raise
        else:
            if call.is_over:
                self.socket_idle(upstream)
            else:
                upstream.begin(call)

    async def _open_socket(self) -> UpstreamSocket:
        origin = self.origin
        async with asyncio.timeout(self._limits.connect_seconds):
            if origin.resolve is None:
                return await self._dial(origin.host, origin.local_address)
            return await self._dial_first(await origin.resolve(origin.host, origin.port))

    async def _dial_first(self, addresses: Sequence[DialAddress]) -> UpstreamSocket:
        """Dial one after the other until one answers; each but the last gets its share of the time only."""
        *others, last = addresses
        for address, local_address in others:
            try:
                async with asyncio.timeout(self._limits.connect_seconds / len(addresses)):
                    return await self._dial(address, local_address)
            except ssl.SSLError:
                raise  # the server is there, and another address would not make it a better one
            except OSError:
                continue
        return await self._dial(*last)

    async def _dial(self, host: str, local_address: str | None) -> UpstreamSocket:
        origin = self.origin
        _, upstream = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamSocket(self, self._memory),
            host,
            origin.port,
            ssl=origin.tls,
            server_hostname=origin.server_hostname if origin.tls is not None else None,
            local_addr=(local_address, 0) if local_address else None,
        )
        self._open.add(upstream)
        return upstream

    def _where(self) -> str:
        return f"{self.origin.host}:{self.origin.port}"
