"""What the agent says about itself: one headline, one page, readiness. Reads everything, changes nothing.

The headline is the one text for systemd's STATUS (with the first warning), ``jira-agent status`` and ``/status``.
Nothing here holds a secret.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from agent.addresses import JiraAddress
from agent.audit_log import AuditLog
from agent.carrier import Carrier
from agent.dialer import Dialer
from agent.errors import DialError
from agent.identity import Identity
from agent.jira_probe import JiraProbe
from agent.renewal import Renewal
from agent.renewal_page import renewal_page, renewal_warnings
from agent.supervisor import LiveLink, Supervisor
from agent.switch import Switch
from agent.tally import Tally
from agent.webhooks import Webhooks
from agent.webhooks_page import webhook_page, webhook_warnings
from jira_api.logins import ADVICE
from jira_api.protection.protection import Protection
from runtime.version import release
from tunnel.budget import Budget

WAITING = "waiting for enrolment"


@dataclass(frozen=True, slots=True)
class Service:
    """The parts that exist once the agent is enrolled."""

    jira: JiraAddress
    identity: Callable[[], Identity]
    supervisor: Supervisor
    dialer: Dialer
    probe: JiraProbe
    carrier: Carrier
    webhooks: Webhooks | None = None
    renewal: Renewal | None = None


class StatusBoard:
    """What status reads. `service` is None while the agent waits for enrolment, `switch` and `audit` where none is."""

    def __init__(
        self, tally: Tally, protection: Protection, budget: Budget, clock: Callable[[], float] = monotonic
    ) -> None:
        self._tally = tally
        self._protection = protection
        self._clock = clock
        self._budget = budget
        self.service: Service | None = None
        self.switch: Switch | None = None
        self.audit: AuditLog | None = None
        self.reload_problem: str | None = None

    def headline(self) -> str:
        """Return the state in one line; what the administrator has switched comes first."""
        switched = "" if self.switch is None or self.switch.is_open else f"{self.switch.state}; "
        return switched + self._headline()

    def _headline(self) -> str:
        service = self.service
        if service is None:
            return WAITING
        supervisor = service.supervisor
        if supervisor.is_draining:
            return f"draining, {self._protection.in_flight} requests under way"
        if not supervisor.up:
            troubles = list(supervisor.trouble.values())
            return f"no link: {troubles[0].error}" if troubles else "connecting"
        if self._protection.breaker.reason is not None:
            return f"{supervisor.up} of {supervisor.wanted} links up, {self._unavailable()}"
        info = service.probe.finding.info
        jira = f"Jira {info.version}" if info is not None else f"Jira does not answer: {service.probe.finding.problem}"
        return f"{supervisor.up} of {supervisor.wanted} links up, {jira}"

    def line(self) -> str:
        """Return the headline and the first thing that a person should look at, for systemd's STATUS."""
        headline = self.headline()
        return "; ".join([headline, *[warning for warning in self.warnings() if warning not in headline][:1]])

    def ready(self) -> str | None:
        """Return None when requests can be carried, else why not."""
        if self.service is None or self.service.supervisor.is_draining or not self.service.supervisor.up:
            return self.headline()
        if self.switch is not None and self.switch.is_paused:
            return self.headline()
        return None

    def warnings(self) -> list[str]:
        """Return what a person should look at."""
        found = [] if self.reload_problem is None else [f"the last reload changed nothing: {self.reload_problem}"]
        found += [] if self.switch is None or self.switch.problem is None else [self.switch.problem]
        found += [] if self.audit is None or self.audit.problem is None else [self._audit_warning(self.audit)]
        service = self.service
        if service is None:
            return found
        if not service.carrier.screening.credentials.is_set:
            found.append("no Jira credentials here: connections with agent credentials are refused")
        found += [f"a login is not used any more: {text}" for text in self._refused_logins()]
        if self._protection.breaker.reason is not None:
            found.append(self._unavailable())
        elif service.probe.finding.info is None:
            found.append(f"Jira: {service.probe.finding.problem}")
        found += webhook_warnings(service.webhooks)
        found += renewal_warnings(service.renewal)
        found += dict.fromkeys(str(trouble.error) for trouble in service.supervisor.trouble.values())
        return found

    @staticmethod
    def _audit_warning(audit: AuditLog) -> str:
        lost = f", {audit.lost_total} entries were lost" if audit.lost_total else ""
        return f"{audit.problem}; requests go on{lost}"

    def page(self) -> Mapping[str, Any]:
        """Return everything as plain data."""
        page: dict[str, Any] = {
            "status": self.headline(),
            "ready": self.ready() is None,
            "version": release(),
            "warnings": self.warnings(),
            "requests": {
                "in_flight": self._protection.in_flight,
                "waiting": self._protection.waiting,
                "limit": self._protection.limit,
                "maximum": self._protection.concurrency.maximum,
                "outcomes": dict(self._tally.outcomes),
            },
            "memory_bytes": {
                "granted": self._budget.granted,
                "waiting": self._budget.waiting,
                "budget": self._budget.total_bytes,
            },
        }
        if self.switch is not None:
            page["switch"] = self.switch.page()
        if self.audit is not None:
            page["audit"] = self.audit.page()
        if self.service is None:
            return page
        page |= _service_page(self.service)
        page["webhooks"] = webhook_page(self.service.webhooks)
        page["jira"] |= self._protection_page()
        return page

    def _protection_page(self) -> dict[str, Any]:
        breaker, refused = self._protection.breaker, self._protection.accounts.refused
        return {
            "unavailable_since": None if breaker.opened_at is None else self._moment(breaker.opened_at),
            "unavailable_reason": breaker.reason,
            "refused_logins": [
                {
                    "login": "agent" if account is self._protection.accounts.own else "gateway",
                    "verdict": account.refusal.slug,
                    "since": self._moment(account.refused_at),
                    "action": ADVICE[account.refusal].action,
                }
                for account in refused
                if account.refusal is not None
            ],
        }

    def _unavailable(self) -> str:
        breaker = self._protection.breaker
        since = "" if breaker.opened_at is None else f" since {self._moment(breaker.opened_at)}"
        return f"Jira is not available{since}: {breaker.reason}"

    def _refused_logins(self) -> Iterator[str]:
        for row in self._protection_page()["refused_logins"]:
            yield f"Jira refused the {row['login']}'s ({row['verdict']}, {row['since']}). {row['action']}"

    def _moment(self, clock_time: float) -> str:
        """Return when something happened, as people write it."""
        ago = timedelta(seconds=self._clock() - clock_time)
        return (datetime.now(UTC) - ago).isoformat(timespec="seconds")


def _identity_page(service: Service) -> dict[str, Any]:
    try:
        identity = service.identity()
    except DialError as error:  # somebody changed the files while we run
        return {"agent": None, "instance": None, "certificate_expires_at": None, "identity_problem": str(error)}
    expires = identity.certificate.not_after.isoformat()
    return {"agent": identity.name, "instance": identity.instance, "certificate_expires_at": expires}


def _service_page(service: Service) -> dict[str, Any]:
    finding = service.probe.finding
    screening = service.carrier.screening
    return {
        **_identity_page(service),
        "renewal": renewal_page(service.renewal),
        "jira": {
            "url": service.jira.url,
            "answers": finding.info is not None,
            "state": finding.state,
            "version": finding.info.version if finding.info else None,
            "base_url": finding.info.base_url if finding.info else None,
            "credentials": screening.credentials.kind.value,
        },
        "policy": {"source": screening.policy.source, "rules": len(screening.policy.rules.rules)},
        "congestion_control": service.dialer.congestion_control,
        "links": [_link_page(live) for live in service.supervisor.links],
        "links_wanted": service.supervisor.wanted,
    }


def _link_page(live: LiveLink) -> dict[str, Any]:
    link = live.link
    return {
        "gateway": str(live.gateway),
        "usable": link.is_usable,
        "draining": link.draining,
        "streams": link.streams,
        "rtt_ms": None if link.rtt is None else round(link.rtt * 1000, 1),
        "ping_ms": None if link.ping is None else round(link.ping * 1000, 1),
        "bytes_in": link.bytes_in,
        "bytes_out": link.bytes_out,
    }
