"""Which lines there are, and what is measured on each."""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import sleep
from typing import Any

from bench.wan import loads
from bench.wan.loads import DOWN, UP
from bench.wan.network import Line
from bench.wan.site import DIRECT, NGINX, OURS, SSH, SYSTEMS, Site, System

CALLERS = 64
FRESH = 20
SECONDS = 3
LEAD_SECONDS = 2
"""Of each load, not counted: connections are opened, and windows find their size."""

FRESH_LOAD, KEEP, MANY, BULK_DOWN, BULK_UP = "fresh", "keep", "many", "down", "up"
BESIDE_DOWN, BESIDE_UP = "beside down", "beside up"

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A line with its loads; `settle` seconds of requests go before, so that the number of links is what it will be."""

    name: str
    line: Line
    loads: tuple[str, ...]
    systems: tuple[str, ...] = SYSTEMS
    settle: float = 0
    seconds: float = SECONDS


EVERYTHING = (FRESH_LOAD, KEEP, MANY, BULK_DOWN, BULK_UP, BESIDE_DOWN, BESIDE_UP)
LOSS = "loss"
PLANS = (
    Plan(LOSS, Line(loss=0.5), (FRESH_LOAD, KEEP, MANY, BESIDE_DOWN), settle=25),
    Plan("rtt50", Line(), EVERYTHING),
    Plan("loss-bbr", Line(loss=0.5, congestion="bbr"), (MANY, BULK_DOWN, BULK_UP), (DIRECT, SSH, OURS)),
    Plan("20mbit", Line(rate_mbit=20, queue_kb=256), (BESIDE_DOWN,), (DIRECT, NGINX, OURS)),
    Plan("10mbit", Line(rate_mbit=10, queue_kb=256), (BESIDE_UP,), (DIRECT, NGINX, OURS), seconds=7),
)


def measure(site: Site, system: System, load: str, seconds: float, folder: Path) -> Figures:
    """Return the figures of one load: ms, requests/s or MB/s."""
    if load == FRESH_LOAD:
        return asdict(loads.fresh(site, system, FRESH))
    if load == KEEP:
        return asdict(loads.steady(site, system, seconds / 2))
    if load == MANY:
        loads.many(site, system, CALLERS, LEAD_SECONDS)
        return asdict(loads.many(site, system, CALLERS, seconds))
    if load in {BULK_DOWN, BULK_UP}:
        return {"mb_per_second": loads.transfer(site, system, load, folder)}
    return _beside(site, system, load.removeprefix("beside "), seconds, folder)


def _beside(site: Site, system: System, direction: str, seconds: float, folder: Path) -> Figures:
    with loads.endless(site, system, direction, folder):
        sleep(LEAD_SECONDS)
        before = loads.moved(site, direction)
        found = asdict(loads.steady(site, system, seconds))
        found["mb_per_second"] = (loads.moved(site, direction) - before) / 1e6 / seconds
        if system.name == OURS:
            found["ping_ms"] = max(link["ping_ms"] or 0 for link in site.status()["links"])
    return found


__all__ = ["DIRECT", "DOWN", "EVERYTHING", "NGINX", "OURS", "PLANS", "SSH", "UP", "Figures", "Plan", "measure"]
