"""Takes Jira's webhooks: which are accepted, and what Jira is answered. 204 means: on the disk.

Jira up to 9 sends each webhook once and never again (docs/facts.md J7), so whatever is not kept is told to
agent.gap_watch, and found again by looking for it in Jira. Whether a hook is known is decided before its body is read:
an unknown id costs no memory and no disk. Knows nothing of gateways.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from agent.known_hooks import KnownHooks, shown
from agent.spool import Spool
from agent.spool_records import SpoolError, SpoolFull, webhook_record
from agent.tally import WebhookTally
from http1.collecting import BodyRoom, CollectedBody, Refusal
from http1.errors import Rejection, RequestRejected
from http1.exchange import Exchange, ExchangeReceiver
from http1.messages import NO_BODY, Headers, RequestHead

log = structlog.get_logger()

MAX_BODY: Final = 10 << 20
MAX_BODIES_IN_HAND: Final = 32 << 20
RETRY_AFTER: Final = [(b"Retry-After", b"10")]  # Cloud tries again; Server and Data Center do not
TOLD_SECONDS: Final = 60.0

_TARGET = re.compile(rb"/hooks/([A-Za-z0-9_-]{1,128})")
_REJECTIONS = {
    Rejection.BAD_REQUEST: 400,
    Rejection.METHOD_NOT_ALLOWED: 405,
    Rejection.REQUEST_TIMEOUT: 408,
    Rejection.BODY_TOO_LARGE: 413,
    Rejection.URI_TOO_LONG: 414,
    Rejection.HEADERS_TOO_LARGE: 431,
    Rejection.UNSUPPORTED_CODING: 501,
}


@dataclass(frozen=True, slots=True)
class Edge:
    """Time and chance, as the intake gets them."""

    now_ms: Callable[[], int]
    clock: Callable[[], float]
    make_id: Callable[[], str]


class WebhookIntake:
    """The application of the webhook listener (http1.exchange.Application)."""

    def __init__(
        self, hooks: KnownHooks, spool: Spool, tally: WebhookTally, lost: Callable[[], None], edge: Edge
    ) -> None:
        """`lost` is called when a webhook of a known hook was not kept."""
        self._hooks = hooks
        self.spool = spool
        self.tally = tally
        self.lost = lost
        self.edge = edge
        self.room = BodyRoom(MAX_BODIES_IN_HAND)
        self._told: dict[str, float] = {}  # reason -> when the log last had it
        self.in_hand = 0  # webhooks that were begun and not answered

    def __repr__(self) -> str:
        return f"<WebhookIntake {self.in_hand} in hand, {self.room!r}>"

    def begin(self, exchange: Exchange) -> ExchangeReceiver | None:
        """Take a webhook, or refuse it before its body."""
        if exchange.request.method != b"POST":
            self.refuse(exchange, 405, "method", [(b"Allow", b"POST")])
            return None
        path, _, query = exchange.request.target.partition(b"?")
        match = _TARGET.fullmatch(path)
        hook = self._hooks.find(match[1]) if match else None
        if hook is None:
            self.refuse(exchange, 404, "unknown_hook")
            return None
        return _Arrival(self, exchange, hook, query).begin()

    def refuse(self, exchange: Exchange, status: int, reason: str, headers: Headers | None = None) -> None:
        """Answer without a body, count it, and tell people."""
        exchange.respond(status, headers or [], 0)
        exchange.finish()
        self.count(reason, peer=exchange.peer)

    def count(self, reason: str, **about: str) -> None:
        """Count a refusal; the log has one line a minute for each reason, whoever posts how often."""
        self.tally.refused[reason] += 1
        now = self.edge.clock()
        if now - self._told.get(reason, -TOLD_SECONDS) >= TOLD_SECONDS:
            self._told[reason] = now
            log.warning("webhook_refused", reason=reason, refused=self.tally.refused[reason], **about)

    def reject(self, peer: str, rejection: RequestRejected, request: RequestHead | None) -> tuple[int, Headers, bytes]:
        """Say how a request is answered that broke HTTP's rules."""
        del request
        self.count("malformed", peer=peer, problem=rejection.reason)
        return _REJECTIONS[rejection.rejection], [], b""


class _Arrival:
    """One webhook of a known hook, from its head to its answer."""

    __slots__ = ("_body", "_exchange", "_hook", "_intake", "_is_whole", "_query", "_received_at")

    def __init__(self, intake: WebhookIntake, exchange: Exchange, hook: bytes, query: bytes) -> None:
        self._intake = intake
        self._exchange = exchange
        self._hook = hook
        self._query = query
        self._received_at = intake.edge.now_ms()
        self._is_whole = False
        self._body = CollectedBody(exchange, MAX_BODY, self._keep, self._refused, gone=self._gone, room=intake.room)

    def begin(self) -> ExchangeReceiver | None:
        self._intake.in_hand += 1
        return self._body.begin()

    def _keep(self, body: bytes) -> None:
        """The body is complete: Jira waits until it is on the disk, also when it hangs up meanwhile."""
        self._is_whole = True
        intake = self._intake
        headers = self._exchange.request.headers
        record = webhook_record(intake.edge.make_id(), self._hook, self._received_at, self._query, headers, body)
        try:
            intake.spool.append(record, self._kept)
        except SpoolFull as full:
            self._kept(full)

    def _kept(self, error: SpoolError | None) -> None:
        self._body.release()
        if error is None:
            self._intake.in_hand -= 1
            self._intake.tally.received += 1
            self._exchange.respond(204, [], NO_BODY)
            self._exchange.finish()
        else:
            self._lose(503, "full" if isinstance(error, SpoolFull) else "unavailable")

    def _refused(self, refusal: Refusal) -> None:
        if refusal is Refusal.TOO_LARGE:
            self._lose(413, "too_large")
        else:
            self._lose(503, "busy")

    def _gone(self) -> None:
        if not self._is_whole:
            self._lose(400, "broken")  # nobody reads the answer; Jira takes it for a failure

    def _lose(self, status: int, reason: str) -> None:
        intake = self._intake
        intake.in_hand -= 1
        self._exchange.respond(status, RETRY_AFTER if status == 503 else [], 0)
        self._exchange.finish()
        intake.count(reason, hook=shown(self._hook))
        intake.lost()
