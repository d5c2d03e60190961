"""Whether a Jira is ready: `GET /status`, then serverInfo (docs/facts.md J1.1), both without a login.

`/status` answers 200 while Jira starts or stops, too: only its state counts. Where something stands before Jira and
does not let `/status` through, any answer that is none of Jira's says nothing, and serverInfo decides.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from jira_api.protection.protection import Protection
from jira_api.server_info import InvalidServerInfo, ServerInfo, parse_server_info

STATUS_PATH: Final = b"/status"
INFO_PATH: Final = b"/rest/api/2/serverInfo"

_OK: Final = 200
_NOT_READY: Final = {
    "STARTING": "is starting",
    "STOPPING": "is stopping",
    "FIRST_RUN": "has not been set up yet",
    "MAINTENANCE": "is in maintenance (a reindex, for example)",
    "ERROR": "has failed to start; see its log",
}


@dataclass(frozen=True, slots=True)
class JiraState:
    """What Jira's `/status` says; `name` None: nothing that we understand."""

    name: str | None = None

    @property
    def problem(self) -> str | None:
        """Why Jira takes no requests, in words; None when it does, or may."""
        return None if self.name not in _NOT_READY else f"Jira {_NOT_READY[self.name]} (state {self.name})"


def read_state(body: bytes) -> JiraState:
    """Return the state that the body of a `/status` answer names; its status code tells nothing more."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return JiraState()
    name = document.get("state") if isinstance(document, dict) else None
    return JiraState(name if isinstance(name, str) and name.isascii() and len(name) < 40 else None)


class NoAnswer(Exception):
    """Jira did not answer a question of ours; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Finding:
    """What the last look at Jira found: `info`, or in one clause the `problem`; `state` is the word of its /status."""

    info: ServerInfo | None
    problem: str | None
    state: str | None = None


Ask = Callable[[bytes], Awaitable[tuple[int, bytes]]]
"""Asks Jira for a path below its base URL, without a login; returns status and body, raises `NoAnswer`."""


async def examine(ask: Ask, protection: Protection) -> Finding:
    """Ask Jira how it is and who it is, and let its breaker know what that means."""
    try:
        _, body = await ask(STATUS_PATH)
        state = read_state(body)
        if state.problem is not None:
            protection.found_unavailable(state.problem)
            return Finding(None, state.problem, state.name)
        status, body = await ask(INFO_PATH)
    except NoAnswer as failure:
        protection.probe_failed(failure.reason)
        return Finding(None, failure.reason)
    protection.breaker.answered()
    if status != _OK:
        return Finding(None, f"serverInfo was answered with status {status}", state.name)
    try:
        return Finding(parse_server_info(body), None, state.name)
    except InvalidServerInfo as error:
        return Finding(None, f"serverInfo cannot be used: {error.reason}", state.name)
