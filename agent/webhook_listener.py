"""The listener to which Jira posts: sockets, TLS from files, limits. What a webhook means is agent.webhook_intake's.

A certificate that is renewed in its files is used for the next socket; one that cannot be loaded changes nothing.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from agent.secret_files import watch_files
from agent.settings import AgentSettings
from http1.exchange import Application
from http1.limits import Limits, OpenSockets
from http1.server import ServerProtocol
from http1.sweep import Sweeper
from runtime.address import Address
from runtime.configuration import ConfigurationError, cannot_bind

log = structlog.get_logger()

# Jira posts from few places with few senders each (docs/facts.md J7); somebody else's sockets must not crowd it out.
LIMITS: Final = Limits(body_idle_seconds=15.0, max_connections=256, idle_give_way=True)
HANDSHAKE_SECONDS: Final = 10.0
BACKLOG: Final = 256
SETTLE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.02


class WebhookListener:
    """Accepts webhooks: `bind`, then `run`; `settle` before the parts behind it end."""

    def __init__(self, settings: AgentSettings, listen: Address, sweeper: Sweeper) -> None:
        """Load the certificate; raises `ConfigurationError`."""
        self._listen = listen
        self._files = _tls_files(settings)
        self._tls = None if self._files is None else load_tls(*self._files)
        self._sweeper = sweeper
        self._sockets = OpenSockets()
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<WebhookListener {self._listen} {len(self._sockets.open)} sockets>"

    async def bind(self, application: Application) -> Address:
        """Bind and return the address; nothing is accepted before `run`.

        Raises:
            ConfigurationError: the system refuses the address.
        """

        def protocol() -> ServerProtocol:
            return ServerProtocol(application, LIMITS, self._sweeper, self._sockets)

        listen, tls = self._listen, self._tls
        try:
            self._server = await asyncio.get_running_loop().create_server(
                protocol,
                listen.host,
                listen.port,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_SECONDS,
                start_serving=False,
                backlog=BACKLOG,
            )
        except OSError as error:
            raise cannot_bind("JIRA_AGENT_WEBHOOK_LISTEN", listen, error) from None
        return Address(*self._server.sockets[0].getsockname()[:2])

    async def run(self) -> None:
        """Accept webhooks until cancelled; sockets that are open stay, for `settle`."""
        if self._server is None:
            raise RuntimeError("bind comes first")
        try:
            await self._server.start_serving()
            if self._files is None:
                await asyncio.Event().wait()  # no deadline: this is the listener's whole life
            else:
                files = self._files
                await watch_files(lambda: files, self._renew)
        finally:
            self._server.close()

    async def settle(self, in_hand: Callable[[], int]) -> None:
        """Let the webhooks in hand be answered, for SETTLE_SECONDS, and close all sockets."""
        self._sockets.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while in_hand():  # noqa: ASYNC110 - an event for the last of them would cost every one of them
                    await asyncio.sleep(_POLL_SECONDS)
                await asyncio.sleep(0)  # answers of this turn of the loop leave with the next
        self._sockets.abort()

    def _renew(self) -> None:
        if self._tls is None or self._files is None:
            return
        try:
            load_tls(*self._files)  # a pair that does not fit would spoil the context in use
            self._tls.load_cert_chain(*self._files, password="")
        except (ConfigurationError, OSError, ssl.SSLError) as error:
            log.error("webhook_certificate_refused", reason=str(error), action="the old one stays")  # noqa: TRY400 - a file, not this code
        else:
            log.info("webhook_certificate_renewed", file=str(self._files[0]))


def check_tls(settings: AgentSettings) -> None:
    """Raise `ConfigurationError` for a certificate that cannot be used."""
    files = _tls_files(settings)
    if settings.webhook_listen is not None and files is not None:
        load_tls(*files)


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context for these files; raises `ConfigurationError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # old Javas under old Jiras have no 1.3
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            "JIRA_AGENT_WEBHOOK_CERT_FILE",
            f"{certificate} and its key cannot be loaded ({reason})",
            "name a PEM certificate chain and its unencrypted key",
        ) from None
    return context


def _tls_files(settings: AgentSettings) -> tuple[Path, Path] | None:
    certificate, key = settings.webhook_cert_file, settings.webhook_key_file
    return None if certificate is None or key is None else (certificate, key)
