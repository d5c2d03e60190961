"""What one check found, and what all checks are given. The shape is that of `jira-gateway doctor`'s checks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.settings import AgentSettings

PASS, FAIL, SKIP = "pass", "fail", "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `result` is pass, fail or skip; `action` says what to do about a fail, or advises after a pass."""

    check: str
    result: str
    detail: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the checks are given.

    `running` is the status page of the agent that runs on this state directory, None when none does; `tell` hears what
    takes a while; `quick` leaves out what takes seconds and what uses Jira's login.
    """

    settings: AgentSettings
    running: Mapping[str, Any] | None
    tell: Callable[[str], None]
    quick: bool = False


def passed(check: str, detail: str, advice: str = "") -> Check:
    """Return a check that passed."""
    return Check(check, PASS, detail, advice)


def failed(check: str, detail: str, action: str) -> Check:
    """Return a check that failed, with what to do."""
    return Check(check, FAIL, detail, action)


def skipped(check: str, reason: str) -> Check:
    """Return a check that could not be made, or that means nothing here."""
    return Check(check, SKIP, reason)


def skip_all(checks: Iterable[str], reason: str) -> list[Check]:
    """Return several checks that could not be made for the same reason."""
    return [skipped(check, reason) for check in checks]


def summary(checks: Iterable[Check]) -> str:
    """Return how it went in one line."""
    by_result: dict[str, list[str]] = {PASS: [], FAIL: [], SKIP: []}
    for row in checks:
        by_result[row.result].append(row.check)
    counts = f"{len(by_result[PASS])} passed, {len(by_result[SKIP])} skipped"
    if not by_result[FAIL]:
        return f"nothing failed: {counts}"
    return f"{len(by_result[FAIL])} failed, {counts}: look at {', '.join(by_result[FAIL])}"
