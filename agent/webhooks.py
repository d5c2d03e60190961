"""Everything of the agent that has to do with webhooks, put together: listener, intake, spool, gaps, courier.

Jira up to 9 sends a webhook once (docs/facts.md J7), so the listener is the first part of an enrolled agent to start
and the last to end: it takes webhooks while Jira, the gateway or both are away, and while the links drain. What is
spooled then stays on the disk for the next start. Without JIRA_AGENT_WEBHOOK_LISTEN only the courier runs, and only
when an earlier run left records.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import random
from time import monotonic

import structlog

from agent.event_courier import EventCourier, EventLink
from agent.gap_watch import GapWatch
from agent.known_hooks import KnownHooks
from agent.settings import AgentSettings
from agent.spool import Spool
from agent.spool_records import SpoolError
from agent.tally import WebhookTally
from agent.webhook_intake import Edge, WebhookIntake
from agent.webhook_listener import WebhookListener
from http1.sweep import Sweeper
from runtime.address import Address
from runtime.exits import CONFIGURATION, CommandFailed

log = structlog.get_logger()


def wall_clock() -> int:
    """Return milliseconds since 1970."""
    return round(datetime.now(UTC).timestamp() * 1000)


EDGE = Edge(wall_clock, monotonic, lambda: secrets.token_hex(16))


class Webhooks:
    """The webhooks of one agent: `start`, then `run`."""

    def __init__(self, settings: AgentSettings, sweeper: Sweeper, edge: Edge = EDGE) -> None:
        """Nothing is opened yet; raises `ConfigurationError` for a certificate that cannot be used."""
        self._sweeper = sweeper
        self._settings = settings
        self.edge = edge
        self.tally = WebhookTally()
        self.spool = Spool(settings.state_dir, settings.spool_max_bytes, edge.now_ms)
        self.hooks = KnownHooks(self.spool.remember_hooks)
        self._gaps = GapWatch(self.spool, edge.now_ms, edge.make_id)
        self._intake = WebhookIntake(self.hooks, self.spool, self.tally, self._gaps.lost, edge)
        listen = settings.webhook_listen
        self._listener = None if listen is None else WebhookListener(settings, listen, sweeper)
        self._courier: EventCourier | None = None
        self.is_active = False  # there is a spool
        self.address: Address | None = None
        self.url: str | None = None

    def __repr__(self) -> str:
        return f"<Webhooks {self.url} {self.spool!r}>"

    @property
    def carrying_problem(self) -> str | None:
        """Why what is spooled cannot be read."""
        return None if self._courier is None else self._courier.problem

    async def start(self) -> None:
        """Open the spool and bind the listener.

        Raises:
            CommandFailed: the spool is damaged or in use, or the address is not to be had.
        """
        self.is_active = self._listener is not None or self.spool.path.exists()
        if not self.is_active:
            return
        try:
            await self.spool.open()
        except SpoolError as error:
            raise CommandFailed(str(error), CONFIGURATION) from None
        self.hooks.restore(self.spool.contents.hooks)
        if self._listener is not None:
            self.address = await self._listener.bind(self._intake)
            self.url = self._settings.webhook_base_url(self.address)

    async def run(self, links: Callable[[], Sequence[EventLink]]) -> None:
        """Take and carry webhooks until cancelled; what is in hand then is still answered."""
        if not self.is_active:
            return
        self._courier = EventCourier(self.spool, links, self.tally, self._sweeper, self.edge.now_ms, random)
        self.spool.on_kept = self._courier.wake
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._courier.run())
                if self._listener is not None:
                    tasks.create_task(self._listener.run())
                    await asyncio.sleep(0)  # it accepts from its first turn on: the gap ends when it does
                    self._gaps.begin(self.spool.contents.alive_at)
                    tasks.create_task(self._gaps.run())
                    log.info("webhooks_expected", listening=str(self.address), url=self.url, hooks=len(self.hooks))
        finally:
            await self._end()

    def renew(self) -> None:
        """Read the listener's certificate again (SIGHUP)."""
        if self._listener is not None:
            self._listener.renew()

    def learn(self, settings: dict[bytes, bytes]) -> None:
        """Take a gateway's news (`on_settings` of every link)."""
        if self._listener is not None:
            self.hooks.learn(settings)
        if self._courier is not None:
            self._courier.wake()  # the first news tell of a new link

    def interrupt(self) -> None:
        """Take back what is on its way to gateways: the agent was paused."""
        if self._courier is not None:
            self._courier.interrupt()

    def news(self) -> dict[bytes, bytes]:
        """Return what gateways are told (docs/protocol.md §11)."""
        return {} if self.url is None else {b"webhook-url": self.url.encode()}

    def jira_returned(self, away_seconds: float) -> None:
        """Jira answers again (JiraProbe.on_return)."""
        if self._listener is not None:
            self._gaps.jira_returned(away_seconds)

    async def _end(self) -> None:
        """Answer what is in hand, note that nothing was lost until now, and close the file; a few seconds at most."""
        if self._listener is not None:
            await self._listener.settle(lambda: self._intake.in_hand)
            self._gaps.beat()
        await self.spool.close()
