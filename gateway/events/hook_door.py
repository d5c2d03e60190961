"""`POST /hooks/<id>` at the API listener: webhooks of Jiras that reach the gateway themselves.

The id in the path is all that a stranger would have to know, so it is looked up before a byte of the body is read, it
never goes into a log, and an unknown one is told from a known one by nothing but 404. While the gateway drains,
webhooks are still taken: most Jiras send each of them once.
"""

import re
from collections.abc import Callable
from datetime import datetime
from time import perf_counter
from typing import Final

import structlog

from gateway.access_log import Visit
from gateway.errors import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    FORBIDDEN,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OVERLOADED,
    Problem,
    Slug,
    answer,
)
from gateway.events.intake import MAX_BODY_BYTES, Arrival, Intake, Verdict
from gateway.outcomes import OutcomeLog
from gateway.triggers import HookEntry
from http1.collecting import CollectedBody, Refusal, SharedRoom
from http1.exchange import Exchange, ExchangeReceiver
from http1.messages import NO_BODY

log = structlog.get_logger()

PREFIX: Final = b"/hooks/"
ROOM_BYTES: Final = 32 << 20
CONNECTION_BYTES: Final = ROOM_BYTES // 2
"""What webhooks of one Jira may take of that: who knows one id must not shut out the others."""
NO_CONTENT: Final = 204

# Jira up to 9 adds user_id and user_key to the address, after `?` or, where it thinks that there is a query, after `&`.
_TARGET: Final = re.compile(rb"/hooks/([A-Za-z0-9_-]{20,128})(?:[?&]([!-~]*))?")

_VERDICTS: Final[dict[Verdict, tuple[Slug, str]]] = {
    Verdict.SIGNATURE_WRONG: (FORBIDDEN, "The webhook's signature is missing or wrong."),
    Verdict.NO_ROOM: (OVERLOADED, "The webhook cannot be stored at the moment; send it again."),
}
_REFUSALS: Final[dict[Refusal, tuple[Slug, str]]] = {
    Refusal.TOO_LARGE: (BODY_TOO_LARGE, f"The webhook is larger than {MAX_BODY_BYTES} bytes."),
    Refusal.NO_ROOM: (OVERLOADED, "There are as many webhooks under way as there may be; send it again."),
}


class HookDoor:
    """Serves PREFIX for the front door."""

    def __init__(
        self, intake: Intake, outcomes: OutcomeLog, clock: Callable[[], datetime], lost: Callable[[str], None]
    ) -> None:
        """`lost` is told the connection of a webhook that is not kept although its hook is known."""
        self._lost = lost
        self._intake = intake
        self._outcomes = outcomes
        self._clock = clock
        self._room = SharedRoom(ROOM_BYTES, CONNECTION_BYTES)

    def __repr__(self) -> str:
        return f"<HookDoor {self._room!r}>"

    def begin(self, exchange: Exchange, request_id: str) -> ExchangeReceiver | None:
        """Take a request, or answer why not."""
        request = exchange.request
        match = _TARGET.fullmatch(request.target)
        hook = self._intake.find(match[1]) if match else None
        if match is None or hook is None:
            self._refuse(exchange, request_id, NOT_FOUND, "There is nothing here.")
        elif request.method != b"POST":
            self._refuse(exchange, request_id, METHOD_NOT_ALLOWED, "Webhooks are posted.")
        elif any(name.lower() == b"content-encoding" for name, _ in request.headers):
            self._refuse(exchange, request_id, BAD_REQUEST, "A compressed webhook is not read here.")
        else:
            return self._collect(exchange, request_id, hook, match[2] or b"").begin()
        return None

    def _collect(self, exchange: Exchange, request_id: str, hook: HookEntry, query: bytes) -> CollectedBody:
        started, is_whole = perf_counter(), False

        def done(body: bytes) -> None:
            nonlocal is_whole
            is_whole = True
            headers = exchange.request.headers
            arrival = Arrival(hook, headers, query.decode("ascii"), body, self._clock())
            try:
                self._intake.take(arrival, judged)
            except Exception:  # a bug must cost neither the answer nor the room
                log.exception("webhook_crashed", request_id=request_id, connection=hook.connection)
                if not exchange.responded:
                    judged(Verdict.NO_ROOM)

        def judged(verdict: Verdict) -> None:
            collected.release()
            if verdict is Verdict.STORED:
                self._accept(exchange, request_id, started, hook.connection)
            else:
                if verdict is Verdict.NO_ROOM:
                    self._lost(hook.connection)
                self._refuse(exchange, request_id, *_VERDICTS[verdict], hook.connection)

        def refused(refusal: Refusal) -> None:
            self._lost(hook.connection)
            self._refuse(exchange, request_id, *_REFUSALS[refusal], hook.connection)

        def gone() -> None:
            if not is_whole:
                self._lost(hook.connection)
            self._tell(exchange, request_id, started, hook.connection, status=0)

        collected = CollectedBody(
            exchange, MAX_BODY_BYTES, done, refused, gone=gone, room=self._room.of(hook.connection)
        )
        return collected

    def _accept(self, exchange: Exchange, request_id: str, started: float, connection: str) -> None:
        if exchange.is_over:  # nobody waits for the answer any more, and that was told
            return
        timing = b"gateway;dur=%.2f, tunnel;dur=0.00, jira;dur=0.00" % ((perf_counter() - started) * 1000)
        exchange.respond(NO_CONTENT, [(b"X-Request-ID", request_id.encode()), (b"Server-Timing", timing)], NO_BODY)
        exchange.finish()
        self._tell(exchange, request_id, started, connection, status=NO_CONTENT)

    def _tell(self, exchange: Exchange, request_id: str, started: float, connection: str, *, status: int) -> None:
        self._outcomes.relayed(
            Visit(
                request_id,
                exchange.peer,
                exchange.request,
                status,
                connection=connection,
                has_hung_up=status == 0,
                exchange=exchange,
                started_at=started,
            )
        )

    def _refuse(self, exchange: Exchange, request_id: str, slug: Slug, message: str, connection: str = "") -> None:
        """Answer; of the path logs show nothing that could be an id."""
        problem = Problem(slug, message)
        status, headers, body = answer(problem, request_id)
        headers = [(name, b"POST" if name == b"Allow" else value) for name, value in headers]
        exchange.respond(status, headers, len(body))
        exchange.write(body)
        exchange.finish()
        self._outcomes.refused(
            exchange.peer,
            exchange.request,
            problem,
            request_id,
            caller="",
            connection=connection,
            exchange=exchange,
        )
