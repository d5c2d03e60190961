"""What the exchanges of this process share on their way to Jira, and what one of them carries there."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.audit_log import RequestAudit
from agent.screening import Cleared, Screening
from agent.tally import Tally
from http1.client import ClientPool
from http1.sweep import Sweeper
from jira_api.protection.accounts import Account
from jira_api.protection.protection import Protection
from tunnel.errors import ErrorCode
from tunnel.heads import RequestHead as StreamRequest


@dataclass(frozen=True, slots=True)
class JiraSide:
    """What every carriage needs of this process; `report` tells people of a failed exchange, `audit` is told of all."""

    pool: ClientPool
    protection: Protection
    sweeper: Sweeper
    tally: Tally
    clock: Callable[[], float]
    report: Callable[[StreamRequest, ErrorCode, str, str | None], None]
    audit: RequestAudit

    def account(self, cleared: Cleared) -> Account | None:
        """Return what is known of the login that a request uses."""
        match cleared.login:
            case "agent":
                return self.protection.accounts.own
            case "gateway":
                return self.protection.accounts.stored(cleared.authorization or b"")
            case "caller" if self.protection.accounts.are_callers_known:
                return self.protection.accounts.of_caller(cleared.authorization or b"")
        return None


@dataclass(slots=True)  # one per request: a frozen one takes three times as long to make
class Order:
    """A request as the gateway sent it, what of it goes to Jira, and the rules by which that was decided."""

    request: StreamRequest
    cleared: Cleared
    screening: Screening
