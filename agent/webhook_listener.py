"""The listener to which Jira posts: limits, and an orderly end. What a webhook means is agent.webhook_intake's."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from agent.settings import AgentSettings
from http1.exchange import Application
from http1.limits import Limits, OpenSockets
from http1.server import ServerProtocol
from http1.sweep import Sweeper
from runtime.address import Address
from runtime.listening import Listener, Place
from runtime.server_tls import ServerTls

# Jira posts from few places with few senders each (docs/facts.md J7); somebody else's sockets must not crowd it out.
LIMITS: Final = Limits(body_idle_seconds=15.0, max_connections=256, idle_give_way=True)
BACKLOG: Final = 256
SETTLE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.02


class WebhookListener:
    """Accepts webhooks: `bind`, then `run`; `settle` before the parts behind it end."""

    def __init__(self, settings: AgentSettings, listen: Address, sweeper: Sweeper) -> None:
        """Load the certificate; raises `ConfigurationError`."""
        self._listener = Listener(Place("JIRA_AGENT_WEBHOOK_LISTEN", listen), webhook_tls(settings), BACKLOG)
        self._sweeper = sweeper
        self._sockets = OpenSockets()

    def __repr__(self) -> str:
        return f"<WebhookListener {self._listener!r} {len(self._sockets.open)} sockets>"

    async def bind(self, application: Application) -> Address:
        """Bind and return the address; nothing is accepted before `run`.

        Raises:
            ConfigurationError: the system refuses the address.
        """
        return await self._listener.bind(lambda: ServerProtocol(application, LIMITS, self._sweeper, self._sockets))

    async def run(self) -> None:
        """Accept webhooks until cancelled; sockets that are open stay, for `settle`."""
        await self._listener.run()

    def renew(self) -> None:
        """Read the certificate's files again (SIGHUP)."""
        self._listener.renew()

    async def settle(self, in_hand: Callable[[], int]) -> None:
        """Let the webhooks in hand be answered, for SETTLE_SECONDS, and close all sockets."""
        self._sockets.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while in_hand():  # noqa: ASYNC110 - an event for the last of them would cost every one of them
                    await asyncio.sleep(_POLL_SECONDS)
                await asyncio.sleep(0)  # answers of this turn of the loop leave with the next
        self._sockets.abort()


def webhook_tls(settings: AgentSettings) -> ServerTls | None:
    """Return the listener's TLS, None without; raises `ConfigurationError` for a certificate that cannot be used."""
    certificate, key = settings.webhook_cert_file, settings.webhook_key_file
    if settings.webhook_listen is None or certificate is None or key is None:
        return None
    return ServerTls(certificate, key, "JIRA_AGENT_WEBHOOK_CERT_FILE")
