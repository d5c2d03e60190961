"""How many links there are over time: looked at every second beside whatever else is measured."""

import threading
import time
from typing import Any

from bench.wan.goals import QUIET_SECONDS
from bench.wan.site import Site


class LinkWatch:
    """Begins with `start`, and ends with `finish` after as much quiet as it takes to judge."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._began = time.monotonic()
        self._minimum = site.links()
        self._changes = [(0.0, self._minimum)]
        self._quiet_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def begin_quiet(self) -> None:
        """Note that nobody asks any more."""
        self._quiet_at = self._now()

    def finish(self, patience: float = QUIET_SECONDS + 10) -> dict[str, Any]:
        """Wait until the links are back at the minimum, or for so many seconds of quiet; return what was seen."""
        while self._changes[-1][1] > self._minimum and self._now() < self._quiet_at + patience:
            time.sleep(0.5)
        self._stop.set()
        self._thread.join()
        return became(self._minimum, self._changes, self._quiet_at)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _look(self) -> None:
        while not self._stop.wait(1.0):
            count = self._site.links()
            if count != self._changes[-1][1]:
                self._changes.append((self._now(), count))


def became(minimum: int, changes: list[tuple[float, int]], quiet_at: float) -> dict[str, Any]:
    """Sum up `changes`, the counts by the seconds from which on they held. Pure."""
    last_at, last = changes[-1]
    return {
        "minimum": minimum,
        "risen_by": max(count for _, count in changes) - minimum,
        "quiet_at": quiet_at,
        "back_after_seconds": max(0.0, last_at - quiet_at) if last <= minimum else None,
        "changes": changes,
    }
