"""Accepts the streams that the gateway opens: screened, carried by one `Carriage` each, reported in one line.

Owns the current `Screening`; a reload replaces it whole, and requests under way keep the one they began
with.
"""

import structlog

from agent.canary import CANARY, Canary
from agent.carriage import Carriage
from agent.jira_side import JiraSide, Order
from agent.screening import Refused, Screening
from http1.messages import Headers
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import NO_BODY
from tunnel.heads import RequestHead as StreamRequest
from tunnel.heads import ResponseHead as StreamAnswer
from tunnel.streams import Stream, StreamReceiver

log = structlog.get_logger()

MAX_LOGGED_PATH = 200
_REFUSED_HERE = frozenset({ErrorCode.POLICY_DENIED, ErrorCode.BAD_REQUEST, ErrorCode.JIRA_LOGIN_REJECTED})


class Carrier:
    """The agent's side of every link: pass `accept` to tunnel.link.Link."""

    def __init__(self, screening: Screening, jira: JiraSide) -> None:
        self.screening = screening
        self._jira = jira

    def accept(self, stream: Stream, head: StreamRequest) -> StreamReceiver:
        """Begin an exchange, or refuse it; never raises."""
        if head.method == b"HEAD" and CANARY in head.meta and head.body == NO_BODY:
            return Canary(stream, self._jira)  # before everything that decides about requests
        screening = self.screening
        verdict = screening.screen(head)
        if isinstance(verdict, Refused):
            self._jira.tally.reset(verdict.code)
            stream.reset(verdict.code, Progress.NOT_SENT, verdict.detail)
            self._jira.report(head, verdict.code, verdict.detail, verdict.rule)
            return _REFUSED
        carriage = Carriage(stream, Order(head, verdict, screening), self._jira)
        carriage.begin()
        return carriage


def report(request: StreamRequest, code: ErrorCode, detail: str, rule: str | None) -> None:
    """Log who asked for what and why it did not succeed; never the query, which may hold credentials."""
    meta = request.meta
    path = request.target.partition(b"?")[0][:MAX_LOGGED_PATH]
    write = log.info if code in _REFUSED_HERE else log.warning
    write(
        "request_refused" if code in _REFUSED_HERE else "request_failed",
        code=code.name.lower(),
        request_id=_text(meta.get(b"request-id", b"")),
        caller=_text(meta.get(b"caller", b"")),
        method=_text(request.method),
        path=_text(path),
        rule=rule,
        reason=detail,
    )


def _text(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace")


class _Refusal:
    """Receives what still comes on a stream that was refused: nothing of it matters."""

    __slots__ = ()

    def on_response(self, head: StreamAnswer) -> None:
        pass

    def on_data(self, data: bytes) -> None:
        pass

    def on_end(self, trailers: Headers) -> None:
        pass

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        pass

    def on_writable(self) -> None:
        pass


_REFUSED = _Refusal()
