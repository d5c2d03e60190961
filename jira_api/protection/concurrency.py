"""How many requests a Jira takes at a time: the configured maximum, and less only while it shows that this is too much.

Signs of too much are a 429, a 5xx, a timeout, or answers that take more than twice as long as the same kind of request
takes when at most a quarter of the maximum is in flight: that is the baseline, learned per kind. Each sign lowers the
limit by a share, at most once a second; each answer in good time raises it, by one per round of answers (AIMD).
"""

from collections.abc import Hashable
from typing import Final

LEAST: Final = 4
REST_SECONDS: Final = 1.0  # between two falls: the requests in flight must feel the first before there is a second
WINDOW_SECONDS: Final = 0.5
WINDOW_ANSWERS: Final = 16
SLOW_FACTOR: Final = 2.0
SLACK_SECONDS: Final = 0.1  # a delay that hurts nobody is no sign, whatever its ratio
LEARNING: Final = 0.1
MAX_KINDS: Final = 256

AFTER_SLOWNESS: Final = 0.8
AFTER_FAILURE: Final = 0.7
AFTER_RATE_LIMIT: Final = 0.5


class Concurrency:
    """`limit` is what may be in flight now; between `LEAST` (the maximum, if that is less) and `maximum`."""

    __slots__ = ("_baselines", "_brisk", "_exact", "_light", "_rest_until", "_slow", "_window_ends", "limit", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.limit = maximum
        self._exact = float(maximum)
        self._light = max(1, maximum // 4)
        self._baselines: dict[Hashable, float] = {}
        self._rest_until = 0.0
        self._window_ends = 0.0
        self._slow = 0
        self._brisk = 0

    def __repr__(self) -> str:
        return f"<Concurrency {self.limit}/{self.maximum} kinds={len(self._baselines)}>"

    def answered(self, kind: Hashable, seconds: float, in_flight: int, now: float) -> None:
        """Learn from an answer that was none of a sick Jira; runs on the request path."""
        baseline = self._baselines.get(kind)
        if baseline is None:
            baseline = seconds
            if len(self._baselines) < MAX_KINDS:
                self._baselines[kind] = seconds
        is_loaded = in_flight > self._light
        if not is_loaded or seconds < baseline:
            self._baselines[kind] = baseline + (seconds - baseline) * LEARNING
        is_slow = seconds > baseline * SLOW_FACTOR and seconds > baseline + SLACK_SECONDS
        if is_loaded:
            self._count(now, is_slow=is_slow)
        if self.limit < self.maximum and not is_slow:
            self._set(self._exact + 1 / self._exact)

    def troubled(self, factor: float, now: float) -> None:
        """Let the limit fall to `factor` of itself, unless it has just fallen."""
        if now < self._rest_until:
            return
        self._rest_until = now + REST_SECONDS
        self._set(self._exact * factor)

    def _count(self, now: float, *, is_slow: bool) -> None:
        """Judge the answers of a window by their majority: one slow search is no sign."""
        if is_slow:
            self._slow += 1
        else:
            self._brisk += 1
        if now < self._window_ends or self._slow + self._brisk < WINDOW_ANSWERS:
            return
        if self._slow > self._brisk:
            self.troubled(AFTER_SLOWNESS, now)
        self._slow = self._brisk = 0
        self._window_ends = now + WINDOW_SECONDS

    def _set(self, exact: float) -> None:
        self._exact = min(max(exact, float(min(LEAST, self.maximum))), float(self.maximum))
        self.limit = int(self._exact)
