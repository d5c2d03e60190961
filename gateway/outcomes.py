"""What became of requests: counted for the metrics, and logged when the answer was ours.

Never logs a query string, a header value or a body: any of them may hold a secret.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from gateway.access_log import MAX_PATH_SHOWN, AccessLog, Visit, shown_path
from gateway.addressing import by_path
from gateway.admission import Admission
from gateway.errors import INTERNAL, JIRA_LOGIN_REJECTED, Problem
from gateway.explain import RecentAnswers, Remembered, from_jira, is_worth_remembering
from gateway.forward import Forward
from gateway.store import Credentials
from gateway.timings import Timings
from http1.exchange import Exchange
from http1.messages import RequestHead
from jira_api.logins import BY_SLUG
from tunnel.heads import ResponseHead

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


class Spans(Protocol):
    """Who records requests (gateway.tracing)."""

    def begin(self, admission: Admission) -> None:
        """A request is about to be sent on."""

    def finished(self, forward: Forward, status: int, problem: Problem | None) -> None:
        """A request has its outcome."""


class OutcomeLog:
    """Counts and logs outcomes, and keeps `recent` ones to be explained; the only owner of these counters.

    `access` gets a line for every request; None: there is no access log.
    """

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self.recent = RecentAnswers()
        self.access: AccessLog | None = None
        self.tracing: Spans | None = None
        self._clock = clock
        self.timings = Timings()
        self.by_status: Counter[int] = Counter()
        self.by_slug: Counter[str] = Counter()
        self.hung_up = 0
        self.rejected_logins: dict[str, datetime] = {}  # connections whose stored login Jira refuses, and since when

    def __repr__(self) -> str:
        return f"<OutcomeLog {sum(self.by_status.values())} answers, {sum(self.by_slug.values())} ours>"

    def answered(self, forward: Forward, head: ResponseHead) -> None:
        """Note how long Jira's answer took, and remember it when somebody could ask why."""
        self.timings.answered(
            forward.admission.route, forward.started_at, forward.sent_at, forward.answered_at, forward.jira_us
        )
        if is_worth_remembering(head):
            self.recent.add(from_jira(head, self._remembered(forward, head.status, None)))
            verdict = BY_SLUG.get(head.meta.get(b"jira-login", b"").decode("latin-1"))
            if verdict is not None and verdict.is_refusal:
                self._reject_login(forward)

    def finished(self, forward: Forward, status: int, problem: Problem | None) -> None:
        """Count a request that was admitted; log it when it did not end with Jira's whole answer."""
        self.timings.ended(forward.admission.route.name, status, is_ours=problem is not None)
        if status:
            self.by_status[status] += 1
        else:
            self.hung_up += 1
        if self.tracing is not None:
            self.tracing.finished(forward, status, problem)
        if self.access is not None:
            self.access.forwarded(forward, status, problem)
        if problem is None:
            if self.rejected_logins and 200 <= status < 300:
                self.rejected_logins.pop(forward.admission.route.name, None)
            return
        if problem.slug is JIRA_LOGIN_REJECTED:
            self._reject_login(forward)
        self.by_slug[problem.slug.name] += 1
        self.recent.add(self._remembered(forward, status, problem))
        write = log.error if problem.slug is INTERNAL else log.warning
        write(
            "request_failed",
            request_id=forward.request_id,
            peer=forward.exchange.peer,
            caller=forward.admission.grant.name,
            connection=forward.admission.route.name,
            agent=forward.admission.route.agent,
            method=forward.exchange.request.method.decode("latin-1"),
            path=forward.admission.target.path[:MAX_PATH_SHOWN],
            error=problem.slug.name,
            source=problem.source.value,
            processed=problem.processed.value,
            reason=problem.message,
        )

    def _reject_login(self, forward: Forward) -> None:
        """Remember that the agent's or our own login is no good; that of a caller is the caller's business."""
        route = forward.admission.route
        if route.credentials is not Credentials.CALLER:
            self.rejected_logins.setdefault(route.name, self._clock())

    def relayed(self, visit: Visit) -> None:
        """Count a request that another part of the gateway has answered (gateway.local_relay, gateway.events)."""
        if visit.status:
            self.by_status[visit.status] += 1
        if self.access is not None:
            self.access.told(visit)

    def refused(
        self,
        peer: str,
        request: RequestHead | None,
        problem: Problem,
        request_id: str,
        *,
        caller: str,
        connection: str = "",
        exchange: Exchange | None = None,
    ) -> None:
        """Count and log a request that went no further than the front door, once it is answered.

        `request` None: its path must not be shown. `connection` and `exchange` as far as they are known.
        """
        status = problem.slug.status
        self.by_status[status] += 1
        self.by_slug[problem.slug.name] += 1
        self._remember_refusal(request, problem, request_id, caller)
        if self.access is not None:
            self.access.told(
                Visit(request_id, peer, request, status, caller, connection, problem=problem, exchange=exchange)
            )
            return
        log.info(
            "request_refused",
            request_id=request_id,
            peer=peer,
            caller=caller,
            method=request.method.decode("latin-1") if request else "",
            path=shown_path(request),
            error=problem.slug.name,
            reason=problem.message,
        )

    def _remember_refusal(self, request: RequestHead | None, problem: Problem, request_id: str, caller: str) -> None:
        """Remember what was refused at the door, as far as its path names a connection and its token was known."""
        addressed = by_path(request.target) if request is not None and caller else None
        if request is None or addressed is None:
            return
        path = addressed.target.partition(b"?")[0].decode("latin-1")[:MAX_PATH_SHOWN]
        method, status, now = request.method.decode("latin-1"), problem.slug.status, self._clock()
        name = addressed.connection
        self.recent.add(Remembered(request_id, name, caller, method, path, status, now, problem=problem))

    def _remembered(self, forward: Forward, status: int, problem: Problem | None) -> Remembered:
        admission = forward.admission
        return Remembered(
            forward.request_id,
            admission.route.name,
            admission.grant.name,
            forward.exchange.request.method.decode("latin-1"),
            admission.target.path[:MAX_PATH_SHOWN],
            status,
            self._clock(),
            problem=problem,
        )
