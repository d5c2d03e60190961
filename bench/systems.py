"""The ways to reach the stand-in for Jira that are compared, by the names that `--only` takes."""

from dataclasses import dataclass
from pathlib import Path

from bench.loads import ALL, CLOSED, KEPT, SEARCH, Plan
from bench.measure import Request

_EVERYTHING_BUT_REWRITING = (*KEPT, *CLOSED, SEARCH)
# The cipher changes what bytes cost and nothing else: one connection per request is not measured again with it.
LOADS = {
    "direct": _EVERYTHING_BUT_REWRITING,
    "nginx": _EVERYTHING_BUT_REWRITING,
    "ssh": _EVERYTHING_BUT_REWRITING,
    "ssh-gcm": KEPT,
    "ours": ALL,
    "broker": KEPT,
}
NAMES = tuple(LOADS)
COMPARED = frozenset(NAMES) - {"broker"}  # whom the ratios that are compared need
TITLES = {
    "direct": "direct",
    "nginx": "nginx → nginx mTLS",
    "ssh": "ssh -R",
    "ssh-gcm": "ssh -R aes128-gcm",
    "ours": "jira-tunnel",
    "broker": "Snyk Broker TLS",
}


@dataclass(frozen=True)
class System:
    """Where its callers send requests and uploads (URLs before a path), and the processes that carry them."""

    name: str
    base: str
    uploads: str
    pids: dict[str, list[int]]
    headers: tuple[str, ...] = ()
    untouched: str = ""  # the base URL whose answers keep their links, where there is one
    ca: Path | None = None

    @property
    def loads(self) -> tuple[Plan, ...]:
        """What it is measured with."""
        return LOADS[self.name]

    def request(self, plan: Plan) -> Request:
        """Return what wrk asks for."""
        base = self.untouched if plan.untouched else self.base
        return Request(base + plan.path, self.headers, plan.keep_alive)

    def bulk(self, base: str, path: str) -> Request:
        """Return what curl fetches or sends."""
        return Request(base + path, self.headers, ca=self.ca)
