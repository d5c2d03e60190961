"""The listener of callers: sockets, TLS from files, limits. What a request means is the front door's business."""

import asyncio
import ssl
from collections.abc import Callable

from gateway.settings import GatewaySettings
from http1.exchange import Application
from http1.limits import Limits, OpenSockets
from http1.request_parser import RequestLimits
from http1.server import ServerProtocol
from http1.sweep import Sweeper
from runtime.address import Address
from runtime.configuration import ConfigurationError, cannot_bind

BACKLOG = 1024


class ApiListener:
    """Accepts callers; `bind` first, then `run`."""

    def __init__(self, settings: GatewaySettings, sweeper: Sweeper, sockets: OpenSockets) -> None:
        self._listen = settings.api_listen
        self._tls = _tls(settings)
        self._limits = Limits(request=RequestLimits(body_bytes=settings.max_body_bytes))
        self._sweeper = sweeper
        self._sockets = sockets
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<ApiListener {self._listen} {len(self._sockets.open)} sockets>"

    async def bind(self, application: Callable[[], Application | None]) -> Address:
        """Bind and return the address; nothing is accepted before `run`. `application` is asked per socket."""

        def protocol() -> ServerProtocol:
            serving = application()
            if serving is None:
                raise RuntimeError("a caller was accepted before the front door was there")
            return ServerProtocol(serving, self._limits, self._sweeper, self._sockets)

        loop = asyncio.get_running_loop()
        listen = self._listen
        try:
            self._server = await loop.create_server(
                protocol, listen.host, listen.port, ssl=self._tls, start_serving=False, backlog=BACKLOG
            )
        except OSError as error:
            raise cannot_bind("JIRA_GATEWAY_API_LISTEN", listen, error) from None
        return Address(*self._server.sockets[0].getsockname()[:2])

    async def run(self) -> None:
        """Accept callers until cancelled."""
        if self._server is None:
            raise RuntimeError("bind comes first")
        try:
            await self._server.start_serving()
            await asyncio.Event().wait()  # no deadline: this is the listener's whole life
        finally:
            self._server.close()


def _tls(settings: GatewaySettings) -> ssl.SSLContext | None:
    if settings.api_cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.api_cert_file, settings.api_key_file, password="")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            "JIRA_GATEWAY_API_CERT_FILE",
            f"{settings.api_cert_file} and its key cannot be loaded ({reason})",
            "name a PEM certificate chain and its unencrypted key",
        ) from None
    return context
