"""Gaps on their way into the log: kept for sure before anybody goes on, with ids that say the same of the same gap."""

import asyncio
from datetime import datetime

from gateway.events.event_log import EventLog
from gateway.store import Gap


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
