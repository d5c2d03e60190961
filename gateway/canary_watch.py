"""Sends canaries on all links, and takes those out of use from which none comes back (docs/protocol.md §8.1).

One task for all links: an idle link costs one comparison twice a second, and a small exchange every five or six
seconds. Knows nothing of requests; what becomes of those on a wedged link is the link's business.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from time import monotonic
from typing import Final

import structlog

from gateway.registry import AgentLink, Registry
from gateway.status import wedged_row
from tunnel.errors import CloseReason

log = structlog.get_logger()

_SPREAD: Final = (0.91, 0.18)
"""Each wait is between 0.91 and 1.09 intervals, so that the links of agents that came together drift apart."""

STANDSTILL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class CanaryTimings:
    """Seconds. A wedged link is out of use after at most 1.09 intervals, `patience` and one `round`."""

    interval: float = 5.5
    patience: float = 9.0
    round: float = 0.5  # in which every link is looked at once,
    tick: float = 0.1  # in small portions, so that requests do not wait for hundreds of canaries


class CanaryWatch:
    """The one task that looks after the canaries of all links. While `is_resting` says so, no new one is sent."""

    def __init__(
        self,
        registry: Registry,
        is_resting: Callable[[], bool] = lambda: False,
        timings: CanaryTimings = CanaryTimings(),
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.timings = timings
        self._registry = registry
        self._is_resting = is_resting
        self._dice = dice

    def __repr__(self) -> str:
        return f"<CanaryWatch {self.timings}>"

    async def run(self) -> None:
        """Look at every link in each round until cancelled."""
        seen = monotonic()
        while True:
            timings = self.timings
            for some in portions(list(self._registry.every_link()), max(1, round(timings.round / timings.tick))):
                await asyncio.sleep(timings.tick)
                now = monotonic()
                if now - seen > STANDSTILL_SECONDS:
                    self._forgive(now - seen)  # answers may be waiting for us to read them
                seen = now
                self._use_proven()
                self.look(now, some)

    def look(self, now: float, links: Iterable[AgentLink]) -> None:
        """Send what is due on these links, and take out of use what did not answer."""
        timings, is_resting = self.timings, self._is_resting()
        for agent_link in links:
            canary = agent_link.canary
            if canary.sent_at is not None:
                if now - canary.sent_at >= timings.patience:
                    self._condemn(agent_link, now - canary.sent_at)
            elif now >= canary.due_at and agent_link.link.is_usable and not is_resting:
                least, spread = _SPREAD
                canary.due_at = now + timings.interval * (least + spread * self._dice())
                canary.send(agent_link.link, now, timings.patience)

    def _use_proven(self) -> None:
        for agent_link in self._registry.unproven():
            if agent_link.canary.took is not None:
                self._registry.prove(agent_link)

    def _forgive(self, seconds: float) -> None:
        for agent_link in self._registry.every_link():
            canary = agent_link.canary
            if canary.sent_at is not None:
                canary.sent_at += seconds

    def _condemn(self, agent_link: AgentLink, waited: float) -> None:
        log.warning(
            "link_wedged",
            agent=str(agent_link.identity),
            address=agent_link.address,
            waited_seconds=round(waited, 1),
            streams=agent_link.in_flight,
            action="the link is closed and the agent dials again; if it happens again look at the agent's log",
        )
        self._registry.note_wedged(agent_link.identity, wedged_row(agent_link, datetime.now(UTC)))
        agent_link.canary.sent_at = None
        agent_link.link.abort(CloseReason.WEDGED)


def portions(links: list[AgentLink], count: int) -> Iterator[list[AgentLink]]:
    """Yield the links in `count` portions of about the same size; few links leave some empty."""
    bounds = [len(links) * number // count for number in range(count + 1)]
    yield from (links[begin:end] for begin, end in pairwise(bounds))
