"""Whether a Jira is ready: `GET /status`, then serverInfo (docs/facts.md J1.1), both without a login.

`/status` answers 200 while Jira starts or stops, too: only its state counts. Where something stands before Jira and
does not let `/status` through, any answer that is none of Jira's says nothing, and serverInfo decides.
"""

import json
from dataclasses import dataclass
from typing import Final

STATUS_PATH: Final = b"/status"
INFO_PATH: Final = b"/rest/api/2/serverInfo"

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
