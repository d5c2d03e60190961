"""The last accepted run, and whether a fresh one is worse. Pure but for reading and writing the file.

Only marks that hold on another day are compared: ratios between systems of the same round, and memory. With
`before` and `now` the medians over the rounds of the accepted and of the fresh run:

    worse = 1 - now / before   where higher is better
    worse = now / before - 1   where lower is better
    noise = half the sum of both runs' spreads; a run's spread is (highest round - lowest round) / median

A mark has regressed when `worse > 0.20 + noise`. A mark that one of the runs lacks (a tool or a rival was missing) is
skipped and named; one that is more than 20 % worse but not beyond the noise is named too, and is no regression.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Figures
from bench.marks import MARKS, Mark, spread
from bench.systems import COMPARED

FILE = Path(__file__).with_name("accepted.json")
ALLOWED = 0.20
FEWEST_ROUNDS = 3  # that noise can be told from
SCHEMA = 1

Rounds = dict[str, list[float]]


class Outcome(Enum):
    """What became of one mark."""

    HELD = "held"
    REGRESSED = "regressed"
    NOISY = "within the noise"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Comparison:
    """One mark, before and now; `worse` and `noise` are parts of one. Without medians where it was skipped."""

    mark: str
    outcome: Outcome
    before: float = 0.0
    now: float = 0.0
    worse: float = 0.0
    noise: float = 0.0


def rounds_of(figures: Figures) -> Rounds:
    """Return the rounds of every mark that is compared and was measured."""
    found = {name: mark.rounds(figures) for name, mark in MARKS.items() if mark.compared}
    return {name: rounds for name, rounds in found.items() if rounds}


def compare(before: Mapping[str, list[float]], now: Mapping[str, list[float]]) -> list[Comparison]:
    """Compare every mark of either run."""
    return [
        _compare(mark, before.get(name, []), now.get(name, []))
        for name, mark in MARKS.items()
        if name in before or name in now
    ]


def _compare(mark: Mark, before: list[float], now: list[float]) -> Comparison:
    if not before or not now or median(before) <= 0:
        return Comparison(mark.name, Outcome.SKIPPED)
    was, now_is = median(before), median(now)
    worse = 1 - now_is / was if mark.higher_is_better else now_is / was - 1
    noise = (spread(before) + spread(now)) / 2
    outcome = Outcome.HELD
    if worse > ALLOWED:
        outcome = Outcome.REGRESSED if worse > ALLOWED + noise else Outcome.NOISY
    return Comparison(mark.name, outcome, was, now_is, worse, noise)


def unfit(figures: Figures, *, to_be_accepted: bool) -> str | None:
    """Tell why a run cannot be compared, or not even be the accepted one; None when it can."""
    if figures.options["rounds"] < FEWEST_ROUNDS:
        return f"noise cannot be told from fewer than {FEWEST_ROUNDS} rounds"
    missing = COMPARED - set(figures.systems)
    return f"it lacks {', '.join(sorted(missing))}" if to_be_accepted and missing else None


def accept(figures: Figures, path: Path) -> None:
    """Make a run the accepted one."""
    document = {
        "schema": SCHEMA,
        "date": figures.date,
        "machine": figures.machine,
        "versions": figures.versions,
        "options": figures.options,
        "marks": {name: [round(one, 4) for one in rounds] for name, rounds in rounds_of(figures).items()},
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return the accepted run as `accept` wrote it.

    Raises:
        FileNotFoundError: no run has been accepted.
        ValueError: it is no such JSON.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"{path} holds no accepted run (schema {SCHEMA})")
    return document
