"""At which of an agent's instances Jira posts webhooks: the one where it posts already, while that can be. Pure.

Each instance that receives webhooks has an address of its own, or they share one. A webhook in Jira names one address,
and every change of it may lose something, so it stays with an instance that is away for a moment (a restart of the
gateway takes all links away), and moves to another one that is there when it stays away.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

GRACE: Final = timedelta(seconds=60)


class LanAddress:
    """The choice for one agent; times by our clock."""

    def __init__(self) -> None:
        self.url: bytes | None = None
        self._live_at: datetime | None = None
        self._is_adopted = False

    def __repr__(self) -> str:
        return f"<LanAddress {self.url!r}>"

    def adopt(self, url: bytes, now: datetime) -> None:
        """Begin with where Jira posts already; counts once, for what is chosen afterwards has a reason."""
        if not self._is_adopted:
            self.url, self._live_at, self._is_adopted = url, now, True

    def choose(self, live: Collection[bytes] | None, now: datetime) -> bytes | None:
        """Return the address to use; `live` are those of the instances that are here, None when none is."""
        if live is None or self.url in live:
            self._live_at = now
        elif self.url is None or self._live_at is None or not timedelta(0) <= now - self._live_at < GRACE:
            self.url, self._live_at = min(live, default=None), now
        return self.url
