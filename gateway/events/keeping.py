"""What the gateway finds out by itself, on its way into the log: kept for sure before anybody goes on."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from gateway.events.event_log import EventLog
from gateway.store import Delivery, Gap, NewEvent, StoreError

ROOM_POLL_SECONDS: Final = 0.05


async def keep_events(events: EventLog, found: Sequence[NewEvent]) -> list[Sequence[Delivery]]:
    """Store events, in shared commits, and return the new deliveries of each; raises StoreError when one is lost.

    While more waits to be sent than may be kept nothing is looked for either: what Jira has does not go away.
    """
    if events.is_full:
        raise StoreError("more events wait to be sent than may be kept (JIRA_GATEWAY_EVENTS_MAX_BYTES)")
    running = asyncio.get_running_loop()
    kept: list[asyncio.Future[Sequence[Delivery] | None]] = []
    for event in found:
        future: asyncio.Future[Sequence[Delivery] | None] = running.create_future()
        while not events.offer(event, _setter(future)):  # noqa: ASYNC110 - room comes with the writer's next turn
            await asyncio.sleep(ROOM_POLL_SECONDS)
        kept.append(future)
    made = [await future for future in kept]  # the log answers every offer
    if None in made:
        raise StoreError(events.problem or "the events could not be stored")
    return [deliveries for deliveries in made if deliveries is not None]


async def keep_gap(events: EventLog, gap: Gap) -> bool:
    """Store a gap; return whether it is durable. One of the same uid changes nothing."""
    kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(is_kept: bool) -> None:  # noqa: FBT001 - the log calls it so
        if not kept.done():
            kept.set_result(is_kept)

    events.offer_gaps([gap], done)
    return await kept  # the log answers every offer


def stamp(moment: datetime) -> int:
    """Return a moment as it stands in a uid: in milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def _setter(
    future: "asyncio.Future[Sequence[Delivery] | None]",
) -> Callable[[Sequence[Delivery] | None], None]:
    def done(made: Sequence[Delivery] | None) -> None:
        if not future.done():
            future.set_result(made)

    return done
