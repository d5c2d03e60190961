"""When a link is asked for a sign of life, and after how long it is given up (docs/protocol.md §4.8, §8). Pure."""

from dataclasses import dataclass
from typing import Final

QUIET_BYTES: Final = 4 * 1024
"""More than canaries and news move between two PINGs: without it nobody needs to know the round trip."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds. A dead link is known after `dead` plus one `tick`."""

    hello: float = 5.0
    ping: float = 5.0
    idle_ping: float = 60.0
    dead: float = 15.0
    tick: float = 1.0
    farewell: float = 1.0

    def is_ping_due(self, since: float, silence: float, moved: int, *, is_known: bool) -> bool:
        """Say whether a PING leaves: a sign of life is missing, or the round trip of a link that works is not fresh.

        Args:
            since: seconds since the last PING, or since the link began.
            silence: seconds since anything was heard.
            moved: bytes in both directions since the last PING.
            is_known: there is a round trip.
        """
        if since < self.ping:
            return False
        return silence >= self.dead / 2 or not is_known or moved > QUIET_BYTES or since >= self.idle_ping


USUAL: Final = Timings()
