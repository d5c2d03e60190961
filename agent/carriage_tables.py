"""The tables of agent.carriage: where one is, and what is said of what goes wrong. Pure."""

from enum import Enum, auto

from http1.errors import FailureKind
from jira_api.protection.refusals import Cause
from tunnel.errors import ErrorCode

CODES = {
    FailureKind.UNREACHABLE: ErrorCode.JIRA_UNREACHABLE,
    FailureKind.TLS: ErrorCode.JIRA_TLS,
    FailureKind.PROTOCOL: ErrorCode.JIRA_PROTOCOL,
    FailureKind.CLOSED: ErrorCode.JIRA_PROTOCOL,
}
REFUSALS = {
    Cause.OVERLOADED: ErrorCode.OVERLOADED,
    Cause.JIRA_UNAVAILABLE: ErrorCode.JIRA_UNAVAILABLE,
    Cause.LOGIN_REJECTED: ErrorCode.JIRA_LOGIN_REJECTED,
}
OUTCOMES = {code: code.name.lower() for code in ErrorCode}  # what the audit log calls a reset


class State(Enum):
    """Where a carriage is; CHECKING (a webhook registration is read whole) is passed through by few."""

    WAITING = auto()
    CHECKING = auto()
    CARRYING = auto()
    ENDED = auto()
