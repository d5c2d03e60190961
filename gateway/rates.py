"""How often something may happen: token buckets by name, made when first used. The time comes in."""

MAX_BUCKETS = 100_000


class Rates:
    """The buckets of one purpose: a gateway token's requests, an address's enrolment tries, agents' opens.

    A bucket holds `burst` events, or one second's worth of its rate.
    """

    def __init__(self, burst: float | None = None) -> None:
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<Rates {len(self._buckets)} buckets>"

    def take(self, name: str, per_second: float, now: float) -> float:
        """Take one event of `name`; return 0, or the seconds until the next one is due."""
        burst = self._burst or max(per_second, 1.0)
        level, at = self._buckets.get(name, (burst, now))
        level = min(burst, level + (now - at) * per_second)
        if level < 1:
            self._buckets[name] = (level, now)
            return (1 - level) / per_second
        if len(self._buckets) >= MAX_BUCKETS and name not in self._buckets:
            self._buckets.clear()  # forgetting gives every name at most one burst more
        self._buckets[name] = (level - 1, now)
        return 0.0

    def give_back(self, name: str) -> None:
        """Undo one `take`: the event turned out not to count."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            self._buckets[name] = (bucket[0] + 1, bucket[1])
