"""One line per request: who asked for what, how it went, how large it was and where the time went.

Runs on the request path, so a line is formatted at once and by hand, and only added to what a thread writes
(runtime.log_writer). What it shows is a closed list of fields, none of which is a header, a body, a query or a token;
paths and addresses are strangers' text, and escaped. What fields mean: docs/operations.md, Logs.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from json.encoder import encode_basestring_ascii as quoted
from time import perf_counter
from typing import Final, Protocol

from gateway.admission import Admission
from gateway.errors import Problem
from gateway.registry import AgentLink, Way
from gateway.settings import GatewaySettings
from gateway.trace_context import TraceParent, read_traceparent
from http1.exchange import Exchange
from http1.messages import RequestHead
from runtime.logs import LEVELS, LineSink
from runtime.terminal import printable

MAX_PATH_SHOWN: Final = 200
MAX_DIGITS: Final = 16
HOOKS: Final = "/hooks/"
"""What follows that in a path opens the way in for webhooks (gateway.events.hook_door), so no log has it."""

_METHODS: Final = {
    method: quoted(method.decode()) for method in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
}
_SECOND: Final = 1000  # milliseconds
_ANSWERED: Final = '"outcome":"answered"'
_HUNG_UP: Final = '"outcome":"hung_up"'


class Forwarded(Protocol):
    """What is told of a request that was admitted (gateway.forward.Forward); times are of perf_counter."""

    exchange: Exchange
    admission: Admission
    request_id: str
    link: Way | None
    started_at: float
    sent_at: float
    answered_at: float
    jira_us: bytes
    has_hung_up: bool


@dataclass(slots=True)
class Visit:
    """What is told of a request that went to no Jira. `started_at` 0: nobody took the time."""

    request_id: str
    peer: str
    request: RequestHead | None
    status: int
    caller: str = ""
    connection: str = ""
    problem: Problem | None = None
    has_hung_up: bool = False
    exchange: Exchange | None = None
    started_at: float = 0.0


class AccessLog:
    """Formats lines and hands them to `write`; `prefix` goes before each (journald's priority)."""

    def __init__(
        self,
        write: Callable[[str], object],
        clock: Callable[[], datetime],
        *,
        for_people: bool = False,
        prefix: str = "",
    ) -> None:
        """`clock` tells the time in UTC; `for_people`: not JSON, but words for a terminal."""
        self._write = write
        self._clock = clock
        self._shape = _as_it_is if not for_people else _for_people
        self._prefix = prefix
        self._second = ""  # a line up to the second in which it is written, and when that began by perf_counter
        self._second_at = -1e9
        self._interrupted: Forwarded | None = None

    def __repr__(self) -> str:
        return f"<AccessLog {self._shape.__name__}>"

    def forwarded(self, forward: Forwarded, status: int, problem: Problem | None, *, also: str = "") -> None:
        """Tell of a request that was for a Jira, once it is over; `status` 0: the caller saw none.

        `also` is the id by which its caller knows it, where that is another one.
        """
        exchange, admission, link = forward.exchange, forward.admission, forward.link
        if exchange.is_rejected:  # its caller broke HTTP's rules meanwhile: `told` comes next, and says how that ended
            self._interrupted = forward
            return
        trace = read_traceparent(admission.headers)
        method, path = exchange.request.method, admission.target.path
        self._write(
            self._shape(
                f'{self._beginning()}"request_id":"{forward.request_id}","caller":{quoted(admission.grant.name)},'
                f'"peer":{quoted(exchange.peer)},"connection":{quoted(admission.route.name)},'
                f"{'' if link is None else link.label or _label(link)}"
                f'"method":{_METHODS.get(method) or quoted(method.decode("latin-1"))},'
                f'"path":{quoted((cut(path) if HOOKS in path else path)[:MAX_PATH_SHOWN])},"status":{status},'
                f"{_ANSWERED if problem is None and not forward.has_hung_up else _outcome(problem)},"
                f'"bytes_in":{exchange.received},"bytes_out":{exchange.sent},{_timing(forward)}'
                f"{'' if trace is None else _trace(trace)}{also and _also(also)}}}\n"
            )
        )

    def told(self, visit: Visit) -> None:
        """Tell of a request that went to no Jira: refused, for the management API, or a webhook."""
        interrupted, self._interrupted = self._interrupted, None
        if interrupted is not None and interrupted.exchange.request is visit.request:
            interrupted.exchange.is_rejected = False
            self.forwarded(interrupted, visit.status, visit.problem, also=visit.request_id)
            return
        request, exchange, problem = visit.request, visit.exchange, visit.problem
        if exchange is not None and exchange.is_rejected:
            return
        trace = None if request is None else read_traceparent(request.headers)
        total = (perf_counter() - visit.started_at) * 1000 if visit.started_at else 0.0
        self._write(
            self._shape(
                f'{self._beginning()}"request_id":{quoted(visit.request_id)},"caller":{quoted(visit.caller)},'
                f'"peer":{quoted(visit.peer)},"connection":{quoted(visit.connection)},'
                f'"method":{quoted(request.method.decode("latin-1") if request is not None else "")},'
                f'"path":{quoted(shown_path(request))},"status":{visit.status},'
                f"{_ANSWERED if problem is None and not visit.has_hung_up else _outcome(problem)},"
                f"{_reason(problem)}"
                f'"bytes_in":{0 if exchange is None else exchange.received},'
                f'"bytes_out":{0 if exchange is None else exchange.sent},"total_ms":{total:.2f}'
                f"{'' if trace is None else _trace(trace)}}}\n"
            )
        )

    def _beginning(self) -> str:
        milliseconds = int((perf_counter() - self._second_at) * 1000)
        if milliseconds >= _SECOND:  # to write the time out costs as much as all the rest: once a second
            moment = self._clock().replace(tzinfo=None)
            milliseconds = moment.microsecond // 1000
            self._second = f'{self._prefix}{{"timestamp":"{moment.isoformat(timespec="seconds")}'
            self._second_at = perf_counter() - moment.microsecond / 1_000_000
        return f'{self._second}.{milliseconds:03d}Z","level":"info","event":"request",'


def open_access_log(settings: GatewaySettings, lines: LineSink) -> AccessLog | None:
    """Return the access log of a gateway, None where it is off."""
    if not settings.access_log or LEVELS[settings.log_level] > LEVELS["info"]:
        return None
    prefix = lines.form.prefix("info")
    return AccessLog(lines.write, partial(datetime.now, UTC), for_people=not lines.form.as_json, prefix=prefix)


def cut(path: str) -> str:
    """Return a path without what follows `/hooks/` in it."""
    before, found, _ = path.partition(HOOKS)
    return before + found


def shown_path(request: RequestHead | None) -> str:
    """Return what a log may show of a request's target: no query, no id of a hook, not too much."""
    if request is None:
        return ""
    return cut(request.target.partition(b"?")[0].decode("latin-1"))[:MAX_PATH_SHOWN]


def _as_it_is(line: str) -> str:
    return line


def _for_people(line: str) -> str:
    """Return a line for a terminal, made of one of JSON; nothing in it commands the terminal."""
    fields = json.loads(line)
    head = f"{fields.pop('timestamp')} [{fields.pop('level'):9}] {fields.pop('event'):30}"
    return f"{head} {' '.join(f'{name}={_word(value)}' for name, value in fields.items() if value != '')}\n"


def _word(value: object) -> str:
    text = printable(str(value)).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return repr(text) if " " in text or not text else text


def _label(link: Way) -> str:
    """Return what every line about a link says of it; made once for each."""
    if isinstance(link, AgentLink):
        identity = link.identity
        link.label = f'"agent":{quoted(identity.name)},"instance":{quoted(identity.instance)},"link":{link.number},'
    else:
        link.label = '"agent":"direct",'
    return link.label


def _outcome(problem: Problem | None) -> str:
    if problem is None:
        return _HUNG_UP
    name, source, processed = problem.slug.name, problem.source.value, problem.processed.value
    return f'"outcome":"{name}","source":"{source}","processed":"{processed}"'


def _reason(problem: Problem | None) -> str:
    return "" if problem is None else f'"reason":{quoted(problem.message)},'


def _timing(forward: Forwarded) -> str:
    """Return where the time went, in milliseconds: until it was sent, in the tunnel, at Jira, and all of it."""
    now, started, sent = perf_counter(), forward.started_at, forward.sent_at
    jira = _milliseconds(forward.jira_us)
    total = (now - started) * 1000
    queue = (sent - started) * 1000 if sent else total
    tunnel = max(0.0, ((forward.answered_at or now) - sent) * 1000 - jira) if sent else 0.0
    return f'"queue_ms":{queue:.2f},"tunnel_ms":{tunnel:.2f},"jira_ms":{jira:.2f},"total_ms":{total:.2f}'


def _milliseconds(microseconds: bytes) -> float:
    return int(microseconds) / 1000 if microseconds.isdigit() and len(microseconds) < MAX_DIGITS else 0.0


def _trace(trace: TraceParent) -> str:
    return f',"trace_id":"{trace.trace_id}"'


def _also(request_id: str) -> str:
    return f',"also":{quoted(request_id)}'
