"""Accepts the streams that the gateway opens: screened, carried by one `Carriage` each, reported in one line.

Owns the current `Screening`; a reload replaces it whole, and requests under way keep the one they began with. The
administrator's switch (agent.switch) is asked before it, and can only narrow it.
"""

import structlog

from agent.canary import CANARY, Canary
from agent.carriage import Carriage
from agent.carriage_tables import OUTCOMES, State
from agent.jira_side import JiraSide, Order
from agent.screening import Cleared, Refused, Screening
from agent.switch import Switch
from agent.switch_state import narrowed
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

    def __init__(self, screening: Screening, jira: JiraSide, switch: Switch) -> None:
        self.screening = screening
        self._jira = jira
        self._switch = switch

    def accept(self, stream: Stream, head: StreamRequest) -> StreamReceiver:
        """Begin an exchange, or refuse it; never raises."""
        if head.method == b"HEAD" and CANARY in head.meta and head.body == NO_BODY:
            return Canary(stream, self._jira)  # before everything that decides about requests
        screening = self.screening
        verdict = self.judge(head)
        if isinstance(verdict, Refused):
            self._jira.tally.reset(verdict.code)
            stream.reset(verdict.code, Progress.NOT_SENT, verdict.detail)
            self._jira.audit.request(head, verdict.rule, OUTCOMES[verdict.code])
            self._jira.report(head, verdict.code, verdict.detail, verdict.rule)
            return _REFUSED
        carriage = Carriage(stream, Order(head, verdict, screening), self._jira)
        carriage.begin()
        return carriage

    def judge(self, head: StreamRequest) -> Cleared | Refused:
        """Return what goes to Jira by the rules that are in force now, or why nothing does."""
        switch = self._switch
        if switch.refusal is not None:
            return switch.refusal
        verdict = self.screening.screen(head)
        return narrowed(head.method, verdict) if switch.is_read_only else verdict

    def judge_again(self) -> None:
        """The switch was turned: end what has not gone to Jira and may not go any more."""
        for waiting in (State.WAITING, State.CHECKING):  # in this order: what is checked holds a place, and frees it
            for carriage in self._under_way():
                if carriage.state is waiting:
                    carriage.judge_again(self.judge)

    def cut(self) -> int:
        """End everything that is under way, and return how many requests that were."""
        refusal = self._switch.refusal
        detail = refusal.detail if refusal is not None else "the on-premise administrator ended it"
        under_way = self._under_way()
        for carriage in under_way:
            carriage.cut(detail)
        return len(under_way)

    @property
    def under_way(self) -> int:
        """Requests that wait or are with Jira."""
        return len(self._under_way())

    def _under_way(self) -> list[Carriage]:
        return [item for item in self._jira.sweeper if isinstance(item, Carriage)]


def report(request: StreamRequest, code: ErrorCode, detail: str, rule: str | None) -> None:
    """Log who asked for what and why it did not succeed; never the query, which may hold credentials."""
    if code is ErrorCode.PAUSED:
        return  # said once, when it was paused: callers that try again must not fill the log
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
