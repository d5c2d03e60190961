"""The event that tells a subscriber when webhooks may have been lost, and what a search brought back. Pure."""

import json
from collections.abc import Sequence
from datetime import datetime

from gateway.events.envelope import GAP, moment
from gateway.events.plan import blind_to
from gateway.store import Gap, NewEvent
from gateway.triggers import TriggerEntry


def gap_event(gap: Gap, trigger: TriggerEntry, found: int, failure: str | None, now: datetime) -> NewEvent:
    """Return the event for one trigger; `failure` says why nothing could be searched for it."""
    lost = lost_in_words(sorted(trigger.row.events), failure)
    payload = {
        "from": moment(gap.from_at),
        "to": moment(gap.to_at),
        "cause": gap.cause.value,
        "way": None if gap.way is None else gap.way.value,
        "found": found,
        "complete": not lost,
        "lost": lost,
    }
    return NewEvent(
        connection=gap.connection,
        occurrence=f"gap/{gap.uid}/{trigger.id}",
        type=GAP,
        received_at=now,
        triggers=(trigger.id,),
        body=json.dumps(payload).encode(),
        occurred_at=gap.to_at,
        kept_for=frozenset() if trigger.is_sent else frozenset({trigger.id}),
    )


def lost_in_words(events: Sequence[str], failure: str | None) -> str:
    """Return what may be lost for good, "" when everything was looked for."""
    if failure is not None:
        return f"nothing could be searched: {failure}"
    blind = blind_to(events)
    return f"a search does not find {', '.join(blind)}" if blind else ""
