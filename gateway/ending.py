"""How a gateway stops taking requests: in which order, and what callers notice of it.

Without systemd's socket new requests get 503 with Retry-After while those in flight finish, so that load balancers and
callers go elsewhere. With it (jira-gateway.socket) new sockets wait in the kernel for the next process instead, as long
as that is short; open ones are served once more. Knows nothing of why the gateway stops.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog

from gateway.api_listener import ApiListener
from gateway.direct_links import DirectConnections
from gateway.front_door import FrontDoor
from gateway.local_relay import LocalRelay
from gateway.registry import Registry
from gateway.tunnel_listener import TunnelListener
from http1.limits import OpenSockets

log = structlog.get_logger()

POLL_SECONDS: Final = 0.05
GRACE_SECONDS: Final = 0.5
"""For sockets that were accepted just before: their requests are on the way, or their TLS handshake."""
HOLD_SECONDS: Final = 2.5
"""Longer than most requests, and with the next process's start still below the five seconds that a caller may hang."""
GOODBYE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """The parts that end one after the other."""

    api: ApiListener
    tunnel: TunnelListener
    local: LocalRelay
    direct: DirectConnections
    registry: Registry
    sockets: OpenSockets

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        agents = sum(agent_link.in_flight for agent_link in self.registry.every_link())
        return self.local.active + self.direct.streams + agents

    async def drain(self, door: FrontDoor, close_feed: Callable[[], None], seconds: float) -> None:
        """Let requests finish for up to `seconds`, then tell agents to go, because they carried them."""
        log.info("gateway_draining", seconds=seconds)
        deadline = monotonic() + seconds
        is_held = await self._hold()
        door.is_draining = not is_held
        self.tunnel.is_draining = True
        self.local.drain()
        close_feed()
        until = monotonic() + HOLD_SECONDS
        while self.in_flight and monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            if is_held and monotonic() >= until:
                is_held, door.is_draining = False, True
                await self.api.socket.resume()
        if not is_held:
            self.api.socket.turn_away()
            await asyncio.sleep(GRACE_SECONDS)
        self.api.socket.close()  # before the sockets go: from now on nobody is taken in and dropped
        self.sockets.drain()
        self.tunnel.hold()  # agents dial again at once, and are taken by the next process
        await self._say_goodbye(max(0.5, min(GOODBYE_SECONDS, deadline - monotonic())))
        self.sockets.abort()

    async def _hold(self) -> bool:
        if not self.api.socket.hold():
            return False
        self.sockets.last_answers = True
        await asyncio.sleep(GRACE_SECONDS)
        self.sockets.close_idle()
        return True

    async def _say_goodbye(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as goodbyes:
                for agent_link in self.registry.every_link():
                    goodbyes.create_task(agent_link.link.drain(1.0))
