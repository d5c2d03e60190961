"""The listener of callers: TLS, limits, load balancers. What a request means is the front door's business."""

import asyncio
from collections.abc import Callable

from gateway.doorway import Doorway
from gateway.settings import GatewaySettings
from gateway.trusted_proxies import TrustedProxies
from http1.exchange import Application
from http1.limits import Limits, OpenSockets
from http1.request_parser import RequestLimits
from http1.server import ServerProtocol
from http1.sweep import Sweeper
from runtime.address import Address
from runtime.listening import Listener, Place
from runtime.server_tls import ServerTls

BACKLOG = 1024


class ApiListener:
    """Accepts callers; `bind` first, then `run`."""

    _arriving: asyncio.TaskGroup  # handshakes behind a load balancer's header

    def __init__(self, settings: GatewaySettings, place: Place, sweeper: Sweeper, sockets: OpenSockets) -> None:
        """Load the certificate; raises `ConfigurationError`."""
        self.proxies = TrustedProxies(settings.trusted_proxies)
        self._tls = _tls(settings)
        self.socket = Listener(place, self._tls, BACKLOG, handshakes=not self.proxies)
        self._limits = Limits(request=RequestLimits(body_bytes=settings.max_body_bytes))
        self._sweeper = sweeper
        self._sockets = sockets

    def __repr__(self) -> str:
        return f"<ApiListener {self.socket!r} {len(self._sockets.open)} sockets>"

    async def bind(self, application: Callable[[], Application | None]) -> Address:
        """Bind and return the address; nothing is accepted before `run`. `application` is asked per socket."""

        def protocol() -> _Caller:
            serving = application()
            if serving is None:
                raise RuntimeError("a caller was accepted before the front door was there")
            return _Caller(serving, self._limits, self._sweeper, self._sockets)

        if not self.proxies:
            return await self.socket.bind(protocol)
        return await self.socket.bind(lambda: _Arrival(self._doorway(), protocol()))

    async def run(self) -> None:
        """Accept callers until cancelled."""
        async with asyncio.TaskGroup() as self._arriving:
            await self.socket.run()

    def _doorway(self) -> Doorway:
        return Doorway(
            self.proxies, lambda: None if self._tls is None else self._tls.context, self._arriving.create_task
        )


class _Caller(ServerProtocol):
    """One caller's socket, which may have come through a load balancer (gateway.doorway.Admitted)."""

    def admit(self, transport: asyncio.Transport, caller: str) -> None:
        """Begin to serve whoever the load balancer has named."""
        self.peer = caller
        self.connection_made(transport)


class _Arrival(asyncio.Protocol):
    """A socket that has just been accepted, and is sent through the doorway."""

    def __init__(self, doorway: Doorway, caller: _Caller) -> None:
        self._doorway = doorway
        self._caller = caller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on."""
        self._doorway.enter(transport, self._caller)


def _tls(settings: GatewaySettings) -> ServerTls | None:
    certificate, key = settings.api_cert_file, settings.api_key_file
    return None if certificate is None or key is None else ServerTls(certificate, key, "JIRA_GATEWAY_API_CERT_FILE")
