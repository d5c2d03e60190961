"""The listener of callers: TLS and limits. What a request means is the front door's business."""

from collections.abc import Callable

from gateway.settings import GatewaySettings
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

    def __init__(self, settings: GatewaySettings, place: Place, sweeper: Sweeper, sockets: OpenSockets) -> None:
        """Load the certificate; raises `ConfigurationError`."""
        self.socket = Listener(place, _tls(settings), BACKLOG)
        self._limits = Limits(request=RequestLimits(body_bytes=settings.max_body_bytes))
        self._sweeper = sweeper
        self._sockets = sockets

    def __repr__(self) -> str:
        return f"<ApiListener {self.socket!r} {len(self._sockets.open)} sockets>"

    async def bind(self, application: Callable[[], Application | None]) -> Address:
        """Bind and return the address; nothing is accepted before `run`. `application` is asked per socket."""

        def protocol() -> ServerProtocol:
            serving = application()
            if serving is None:
                raise RuntimeError("a caller was accepted before the front door was there")
            return ServerProtocol(serving, self._limits, self._sweeper, self._sockets)

        return await self.socket.bind(protocol)

    async def run(self) -> None:
        """Accept callers until cancelled."""
        await self.socket.run()


def _tls(settings: GatewaySettings) -> ServerTls | None:
    certificate, key = settings.api_cert_file, settings.api_key_file
    return None if certificate is None or key is None else ServerTls(certificate, key, "JIRA_GATEWAY_API_CERT_FILE")
