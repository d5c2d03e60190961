"""What the tunnel has to reach, as one table of marks and bounds. Pure: figures in, verdicts out."""

from dataclasses import dataclass
from statistics import median

from bench.figures import IDLE, Figures
from bench.loads import CALLERS
from bench.marks import MARKS


@dataclass(frozen=True)
class Goal:
    """A mark and its bound: at least it where higher is better, else at most it; below it where `strictly`."""

    mark: str
    bound: float
    strictly: bool = False

    def is_met(self, value: float) -> bool:
        """Tell whether a value reaches the goal."""
        if MARKS[self.mark].higher_is_better:
            return value >= self.bound
        return value < self.bound if self.strictly else value <= self.bound

    @property
    def asks(self) -> str:
        """The bound in signs."""
        sign = "≥" if MARKS[self.mark].higher_is_better else "<" if self.strictly else "≤"
        return f"{sign} {shown(self.bound, MARKS[self.mark].unit)}"


@dataclass(frozen=True)
class Verdict:
    """What became of a goal; no value where it was not measured."""

    goal: Goal
    value: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None where it was not measured."""
        return None if self.value is None else self.goal.is_met(self.value)


_TIMES_SSH = {1: 5.0, 16: 5.0, 128: 2.0}
GOALS = (
    *(Goal(f"requests/s at {callers} / ssh -R", times) for callers, times in _TIMES_SSH.items()),
    Goal("CPU at 128", 90),
    Goal("CPU at 128 / ssh -R", 2.5),
    *(Goal(f"requests/s at {callers} / nginx", 0.4) for callers in (16, 128)),
    *(Goal(f"p99 at {callers} / ssh -R", 1, strictly=True) for callers in CALLERS),
    *(Goal(f"one connection per request at {callers} / keep-alive", 1 / 3) for callers in CALLERS),
    *(Goal(f"{way} / ssh -R aes128-gcm", 0.8) for way in ("download", "upload")),
    *(Goal(way, 250) for way in ("download", "upload")),
    Goal("CPU of 120 KiB rewritten / untouched", 2),
    Goal("idle link", 64),
    Goal(f"agent {IDLE}", 60),
)


def judge(figures: Figures) -> list[Verdict]:
    """Return a verdict on every goal, by the medians of the rounds."""
    verdicts = []
    for goal in GOALS:
        rounds = MARKS[goal.mark].rounds(figures)
        verdicts.append(Verdict(goal, median(rounds) if rounds else None))
    return verdicts


def shown(value: float, unit: str = "") -> str:
    """Return a figure as tables show it."""
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()
