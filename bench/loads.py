"""What every system is measured with: which request, how many callers, and whether their connections stay open."""

from dataclasses import dataclass

from bench import answers

CALLERS = (1, 16, 128)


@dataclass(frozen=True)
class Plan:
    """One load. `untouched` asks where links are not rewritten."""

    kind: str
    callers: int
    path: str = answers.SMALL
    keep_alive: bool = True
    untouched: bool = False

    @property
    def name(self) -> str:
        """As it stands in JSON, such as `small@16`."""
        return f"{self.kind}@{self.callers}"


KEPT = tuple(Plan("small", callers) for callers in CALLERS)
CLOSED = tuple(Plan("close", callers, keep_alive=False) for callers in CALLERS)
SEARCH = Plan("search", 16, answers.SEARCH)
UNTOUCHED = Plan("untouched", 16, answers.SEARCH, untouched=True)
ALL = (*KEPT, *CLOSED, SEARCH, UNTOUCHED)
