"""How long answers took, and how they ended, as plain numbers: by kind of way and phase, and by connection.

The way of a request calls `answered` and `ended` once each; both together cost about two microseconds (decision 0020).
Histograms are not kept by connection: with fifteen bounds and four phases that would be too many lines on a page.
"""

from typing import Final

from gateway.directory import ConnectionEntry
from runtime.histogram import Histogram

PHASES: Final = ("queue", "tunnel", "jira", "total")
"""Until it was handed to a link, for the last time; neither here nor at Jira; at Jira; all until the answer began."""

WAYS: Final = ("agent", "direct")
OUTCOMES: Final = ("hung_up", "1xx", "2xx", "3xx", "4xx", "5xx", "other", "ours")
_OURS: Final = len(OUTCOMES) - 1
_OTHER: Final = _OURS - 1
MAX_DIGITS: Final = 16


class ConnectionTally:
    """The requests of one connection: `counts` by OUTCOMES, and the seconds until their answers began."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(OUTCOMES)
        self.seconds = 0.0


class Timings:
    """The only owner of these numbers."""

    __slots__ = ("_agent", "_direct", "connections")

    def __init__(self) -> None:
        self._agent = tuple(Histogram() for _ in PHASES)
        self._direct = tuple(Histogram() for _ in PHASES)
        self.connections: dict[str, ConnectionTally] = {}

    def __repr__(self) -> str:
        return f"<Timings of {len(self.connections)} connections>"

    def phases(self, way: str) -> tuple[Histogram, ...]:
        """Return the histograms of one of WAYS, in the order of PHASES."""
        return self._agent if way == "agent" else self._direct

    def answered(self, route: ConnectionEntry, began: float, sent: float, answered: float, jira_us: bytes) -> None:
        """Note that Jira's answer has begun; times of one clock in seconds, `jira_us` as the agent says it."""
        tunnel, total = answered - sent, answered - began
        jira = int(jira_us) / 1_000_000 if jira_us.isdigit() and len(jira_us) < MAX_DIGITS else 0.0
        jira = min(jira, tunnel)
        queues, tunnels, jiras, totals = self._direct if route.agent is None else self._agent
        queues.observe(sent - began)
        tunnels.observe(tunnel - jira)
        jiras.observe(jira)
        totals.observe(total)
        self._tally(route.name).seconds += total

    def ended(self, connection: str, status: int, *, is_ours: bool) -> None:
        """Note how a request ended; `status` is what the caller saw, 0 when it hung up before."""
        tally = self._tally(connection)
        tally.counts[_OURS if is_ours else min(status // 100, _OTHER)] += 1

    def _tally(self, connection: str) -> ConnectionTally:
        tally = self.connections.get(connection)
        if tally is None:
            tally = self.connections[connection] = ConnectionTally()
        return tally
