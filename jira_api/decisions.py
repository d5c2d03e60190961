"""What a policy answers: yes by which rule, or no for which reason."""

from dataclasses import dataclass
from typing import Literal

# Whose login Jira sees: the agent's own, one stored at the gateway, or the caller's passed through.
Credentials = Literal["agent", "gateway", "caller"]


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may pass; a `needs_body_check` one only after `webhook_registration` has seen its whole body."""

    rule_id: str
    needs_body_check: bool = False

    def __str__(self) -> str:
        return f"allow {self.rule_id}"


@dataclass(frozen=True, slots=True)
class Deny:
    """The request must not pass; `rule_id` names the rule that forbids it, None when simply nothing allows it."""

    reason: str
    rule_id: str | None = None

    def __str__(self) -> str:
        return f"deny {self.reason}"


Decision = Allow | Deny
