"""Why a request does not go to Jira now. Nothing of it was sent: whoever asked may try again later, or elsewhere."""

from dataclasses import dataclass
from enum import Enum, auto


class Cause(Enum):
    """What stands in the way."""

    OVERLOADED = auto()
    RATE_LIMITED = auto()
    JIRA_UNAVAILABLE = auto()
    LOGIN_REJECTED = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """`detail` is one sentence for the caller; `retry_after` is in seconds, None where there is no better guess."""

    cause: Cause
    detail: str
    retry_after: int | None = None
