"""What the administrator's switch can say, how that is kept in a file, and what it means for a request. Pure.

Open: the policy alone decides. Read-only: what the policy allows must be within the built-in profile `read-only`, too.
Paused: nothing passes. Nothing here can allow what the policy does not.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from agent.screening import Cleared, Refused
from jira_api.decisions import Deny
from jira_api.profiles import READ_ONLY
from jira_api.rules import evaluate
from tunnel.errors import ErrorCode

MAX_REASON: Final = 200
"""Characters."""

_VERSION: Final = 1
_FIELDS: Final = {"version", "mode", "since", "until", "after", "reason", "by"}
_PAUSED: Final = "The on-premise administrator has paused this agent"
_NARROWED: Final = "the on-premise administrator allows only reading now (jira-agent read-only)"


class Mode(Enum):
    """The positions, from the widest to the narrowest."""

    OPEN = "open"
    READ_ONLY = "read-only"
    PAUSED = "paused"

    @property
    def strictness(self) -> int:
        """0 for the widest."""
        return list(Mode).index(self)


class SwitchDamaged(Exception):
    """What is in the file is not what we wrote; `problem` says how."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class SwitchState:
    """A position: since when, by whom and why. Milliseconds since 1970; at `until` it turns to `after` by itself."""

    mode: Mode = Mode.OPEN
    since: int = 0
    until: int | None = None
    after: Mode = Mode.OPEN
    reason: str = ""
    by: str = ""

    def __str__(self) -> str:
        """Return it as one clause for people."""
        words = {Mode.OPEN: "open", Mode.READ_ONLY: "read-only", Mode.PAUSED: "paused"}[self.mode]
        if self.mode is Mode.OPEN:
            return words
        text = f"{words} by its administrator since {moment(self.since)}"
        text += "" if self.until is None else f" until {moment(self.until)}"
        return text + (f" ({self.reason})" if self.reason else "")

    def page(self) -> dict[str, Any]:
        """Return it as plain data for status pages."""
        return {
            "mode": self.mode.value,
            "since": moment(self.since) if self.since else None,
            "until": None if self.until is None else moment(self.until),
            "reason": self.reason or None,
            "by": self.by or None,
        }

    def at(self, now_ms: int) -> "SwitchState":
        """Return what is in force at a time: itself, or what comes after it."""
        if self.until is None or now_ms < self.until:
            return self
        reason = self.reason if self.after is not Mode.OPEN else ""
        return SwitchState(self.after, self.until, reason=reason, by="the time that was set")

    def turned(self, mode: Mode, now_ms: int, until: int | None, reason: str | None, by: str) -> "SwitchState":
        """Return the state after an order; without a reason the old one of the same position stays.

        Read-only that is paused for a while is read-only afterwards: time never widens what a person had narrowed.
        """
        is_same = mode is self.mode
        after = Mode.OPEN
        if mode is Mode.PAUSED and until is not None:
            after = Mode.READ_ONLY if self.mode is Mode.READ_ONLY else self.after
        kept = self.reason if is_same and reason is None else reason or ""
        return SwitchState(mode, self.since if is_same else now_ms, until, after, kept, by)

    def refusal(self) -> Refused | None:
        """Return with what every request is refused, None when not every request is."""
        if self.mode is not Mode.PAUSED:
            return None
        return Refused(ErrorCode.PAUSED, f"{_PAUSED}{f': {self.reason}' if self.reason else ''}.", "paused")


def moment(at_ms: int) -> str:
    """Return a time as people write it, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def narrowed(method: bytes, verdict: Cleared | Refused) -> Cleared | Refused:
    """Return the verdict of the policy, narrowed to the profile `read-only`."""
    if isinstance(verdict, Refused):
        return verdict
    decision = evaluate(READ_ONLY, method, verdict.target, credentials=verdict.login)
    if not isinstance(decision, Deny):
        return verdict
    return Refused(ErrorCode.POLICY_DENIED, f"{_NARROWED}: {decision.reason}", "read-only-switch")


def encode(state: SwitchState) -> bytes:
    """Return the content of the file."""
    document = {
        "version": _VERSION,
        "mode": state.mode.value,
        "since": state.since,
        "until": state.until,
        "after": state.after.value,
        "reason": state.reason,
        "by": state.by,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def decode(content: bytes) -> SwitchState:
    """Return what the file says.

    Raises:
        SwitchDamaged: anything is not as we write it.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise SwitchDamaged("it is no JSON") from None
    if not isinstance(document, dict) or document.get("version") != _VERSION or set(document) != _FIELDS:
        raise SwitchDamaged("it is not of this version")
    try:
        state = SwitchState(
            Mode(document["mode"]),
            _milliseconds(document["since"]),
            None if document["until"] is None else _milliseconds(document["until"]),
            Mode(document["after"]),
            _line(document["reason"]),
            _line(document["by"]),
        )
    except ValueError as error:
        raise SwitchDamaged(str(error)) from None
    if state.after.strictness > state.mode.strictness:
        raise SwitchDamaged("what comes after is narrower")
    return state


def sound_reason(text: str) -> str:
    """Return a reason as one printable line; raises ValueError when it is none, or too long."""
    return _line(text.strip())


def _line(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_REASON or not value.isprintable():
        raise ValueError(f"a reason is one printable line of at most {MAX_REASON} characters")
    return value


def _milliseconds(value: object) -> int:
    if type(value) is not int or not 0 <= value < 10**14:  # the year 5138
        raise ValueError("a time is no number of milliseconds")
    return value
