"""What is to be reached across a WAN, as a table over the figures. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any

from bench.wan.plan import BESIDE_DOWN, BESIDE_UP, BULK_DOWN, BULK_UP, FRESH_LOAD, KEEP, LOSS, MANY
from bench.wan.site import DIRECT, NGINX, OURS

ROUND_TRIP_MS = 50.0
QUIET_SECONDS = 120.0


class Report:
    """Figures of a run: line -> system -> load -> one per round; and what became of the number of links."""

    def __init__(self, lines: Mapping[str, Any], links: Mapping[str, Any] | None = None) -> None:
        self.lines = lines
        self.links = links

    def of(self, line: str, system: str, load: str, figure: str) -> float:
        """Return the median over the rounds; raises KeyError when it was not measured."""
        return median(each[figure] for each in self.lines[line][system][load])

    def ratio(self, line: str, load: str, figure: str, to: str = DIRECT) -> float:
        """Return ours divided by another's."""
        return self.of(line, OURS, load, figure) / self.of(line, to, load, figure)

    def round_trip(self, line: str) -> float:
        """Return what a round trip takes on this machine: the direct keep-alive request, no less than the line's."""
        return max(ROUND_TRIP_MS, self.of(line, DIRECT, KEEP, "p50"))


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure and what it has to be, at most or at least."""

    text: str
    figure: Callable[[Report], float]
    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Tell whether a value will do."""
        return value >= self.limit if self.at_least else value <= self.limit


def _trips(line: str, load: str, figure: str) -> Callable[[Report], float]:
    return lambda report: report.of(line, OURS, load, figure) / report.round_trip(line)


def _ratio(line: str, load: str, figure: str, to: str = DIRECT) -> Callable[[Report], float]:
    return lambda report: report.ratio(line, load, figure, to)


def _links(name: str) -> Callable[[Report], float]:
    def find(report: Report) -> float:
        if report.links is None:
            raise KeyError(name)
        value = report.links[name]
        return inf if value is None else float(value)

    return find


RATE, BYTES = "requests_per_second", "mb_per_second"
_CLEAN, _BBR = "rtt50", "loss-bbr"
GOALS = (
    Goal(
        "50 ms: a request on a fresh caller connection, ms above one round trip at p50",
        lambda report: report.of(_CLEAN, OURS, FRESH_LOAD, "p50") - report.round_trip(_CLEAN),
        3,
    ),
    Goal("50 ms: 64 callers, of direct", _ratio(_CLEAN, MANY, RATE), 0.95, at_least=True),
    Goal("50 ms: 64 MiB down, of direct", _ratio(_CLEAN, BULK_DOWN, BYTES), 0.9, at_least=True),
    Goal("50 ms: 64 MiB up, of direct", _ratio(_CLEAN, BULK_UP, BYTES), 0.9, at_least=True),
    Goal("50 ms: small beside a download, round trips at p50", _trips(_CLEAN, BESIDE_DOWN, "p50"), 1.2),
    Goal("50 ms: small beside a download, round trips at p99", _trips(_CLEAN, BESIDE_DOWN, "p99"), 2),
    Goal("50 ms: small beside an upload, round trips at p50", _trips(_CLEAN, BESIDE_UP, "p50"), 1.2),
    Goal("50 ms: small beside an upload, round trips at p99", _trips(_CLEAN, BESIDE_UP, "p99"), 2),
    Goal("0.5 % loss: 64 callers, of direct", _ratio(LOSS, MANY, RATE), 0.7, at_least=True),
    Goal("0.5 % loss: 64 callers, round trips at p50", _trips(LOSS, MANY, "p50"), 1.5),
    Goal("0.5 % loss: 64 callers, ms at p99", lambda report: report.of(LOSS, OURS, MANY, "p99"), 500),
    Goal("0.5 % loss: small beside a download, round trips at p50", _trips(LOSS, BESIDE_DOWN, "p50"), 1.2),
    Goal("0.5 % loss: links above the minimum", _links("risen_by"), 1, at_least=True),
    Goal("0.5 % loss: seconds of quiet until the minimum", _links("back_after_seconds"), QUIET_SECONDS),
    Goal("0.5 % loss, bbr: 64 MiB down, of direct with bbr", _ratio(_BBR, BULK_DOWN, BYTES), 0.85, at_least=True),
    Goal("0.5 % loss, bbr: 64 MiB up, of direct with bbr", _ratio(_BBR, BULK_UP, BYTES), 0.85, at_least=True),
    Goal("20 Mbit/s: small beside a download, of nginx", _ratio("20mbit", BESIDE_DOWN, "p50", NGINX), 1.1),
    Goal(
        "10 Mbit/s: the tunnel's own ping beside an upload, ms",
        lambda report: report.of("10mbit", OURS, BESIDE_UP, "ping_ms"),
        400,
    ),
)


def verdicts(report: Report) -> list[tuple[Goal, float | None]]:
    """Return every goal with what was measured, None where nothing was."""
    found: list[tuple[Goal, float | None]] = []
    for goal in GOALS:
        try:
            value: float | None = goal.figure(report)
        except (KeyError, ZeroDivisionError):
            value = None
        found.append((goal, value))
    return found
