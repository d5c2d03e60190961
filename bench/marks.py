"""The figures that goals and `make bench-check` look at, each with one value per round.

A mark made of two systems is a ratio taken within each round, so that what slows the machine for a while slows both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.figures import IDLE, LOADED, Figures
from bench.loads import CALLERS, SEARCH, UNTOUCHED

Series = Callable[[Figures], list[float]]


@dataclass(frozen=True)
class Mark:
    """A named figure. `compared`: it says something on another day too, for it is a ratio or memory."""

    name: str
    rounds: Series
    higher_is_better: bool
    compared: bool = True
    unit: str = ""


def spread(rounds: list[float]) -> float:
    """Return the noise of a figure: from its lowest to its highest round, as a part of its median."""
    middle = median(rounds)
    return (max(rounds) - min(rounds)) / middle if middle else 0.0


def _figure(system: str, load: str, figure: str) -> Series:
    return lambda figures: figures.series(system, load, figure)


def _bulk(system: str, way: str) -> Series:
    return lambda figures: figures.bulk(system, way)


def _rss(when: str, program: str) -> Series:
    return lambda figures: figures.rss("ours", when, program)


def _over(above: Series, below: Series) -> Series:
    """Divide round by round; a round in which either is missing or nothing is left out."""
    return lambda figures: [one / other for one, other in zip(above(figures), below(figures), strict=False) if other]


def _in_direct_requests(load: str) -> Series:
    """CPU per request, in what the machine needs for a request without any tunnel (1 / requests per second)."""
    ours, direct = _figure("ours", load, "cpu"), _figure("direct", load, "requests_per_second")
    return lambda figures: [cpu * rate / 1e6 for cpu, rate in zip(ours(figures), direct(figures), strict=False)]


def _idle_link(figures: Figures) -> list[float]:
    return [] if figures.idle_link_kib is None else [figures.idle_link_kib]


def _at(callers: int) -> tuple[Mark, ...]:
    small, close = f"small@{callers}", f"close@{callers}"
    rate, cpu, p99 = "requests_per_second", "cpu", "p99"
    ours = _figure("ours", small, rate)
    return (
        Mark(f"requests/s at {callers} / ssh -R", _over(ours, _figure("ssh", small, rate)), higher_is_better=True),
        Mark(f"requests/s at {callers} / nginx", _over(ours, _figure("nginx", small, rate)), higher_is_better=True),
        Mark(
            f"CPU at {callers} / ssh -R",
            _over(_figure("ours", small, cpu), _figure("ssh", small, cpu)),
            higher_is_better=False,
        ),
        Mark(f"CPU at {callers} in requests of direct", _in_direct_requests(small), higher_is_better=False),
        Mark(
            f"p99 at {callers} / ssh -R",
            _over(_figure("ours", small, p99), _figure("ssh", small, p99)),
            higher_is_better=False,
        ),
        Mark(
            f"one connection per request at {callers} / keep-alive",
            _over(_figure("ours", close, rate), ours),
            higher_is_better=True,
        ),
        Mark(
            f"CPU at {callers}",
            _figure("ours", small, cpu),
            higher_is_better=False,
            compared=False,
            unit="µs",
        ),
    )


def _of_bulk(way: str) -> tuple[Mark, ...]:
    ours = _bulk("ours", way)
    return (
        Mark(f"{way} / ssh -R aes128-gcm", _over(ours, _bulk("ssh-gcm", way)), higher_is_better=True),
        Mark(way, ours, higher_is_better=True, compared=False, unit="MB/s"),
    )


def _memory(program: str, when: str) -> Mark:
    return Mark(f"{program} {when}", _rss(when, program), higher_is_better=False, unit="MiB")


MARKS: dict[str, Mark] = {
    mark.name: mark
    for mark in (
        *(mark for callers in CALLERS for mark in _at(callers)),
        *(mark for way in ("download", "upload") for mark in _of_bulk(way)),
        Mark(
            "CPU of 120 KiB rewritten / untouched",
            _over(_figure("ours", SEARCH.name, "cpu"), _figure("ours", UNTOUCHED.name, "cpu")),
            higher_is_better=False,
        ),
        Mark("idle link", _idle_link, higher_is_better=False, unit="KiB"),
        *(_memory(program, when) for program in ("gateway", "agent") for when in (IDLE, LOADED)),
    )
}
