"""The front door: every request of a caller begins here, and every refusal of ours leaves here.

Ties together what decides (admission.py), what carries (forward.py) and what is counted (outcomes.py). It
owns the directory in force, replaced as a whole when the store changes.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from time import monotonic

import structlog

from gateway.addressing import by_host
from gateway.admission import Entrance, Refused, admit
from gateway.answer import AnswerRules
from gateway.direct_links import DirectConnections
from gateway.directory import ConnectionEntry, Directory
from gateway.errors import BAD_REQUEST, DRAINING, INTERNAL, REJECTIONS, Problem, Processed, answer
from gateway.events.hook_door import PREFIX as HOOKS_PREFIX
from gateway.events.hook_door import HookDoor
from gateway.forward import Forward, Surroundings
from gateway.kept_body import KeptRoom
from gateway.local_relay import LocalRelay
from gateway.outcomes import OutcomeLog
from gateway.rates import Rates
from gateway.registry import Registry
from gateway.trusted_proxies import TrustedProxies
from http1.errors import RequestRejected
from http1.exchange import Exchange, ExchangeReceiver
from http1.messages import Headers, RequestHead
from http1.sweep import Sweeper

log = structlog.get_logger()

CRASHED = "Something of ours failed; the gateway's log has the request id."


LOCAL_PREFIX = b"/api/"
"""What aiohttp serves beside the request path (gateway.management)."""


class RequestIds:
    """Ids that are unique across processes and cheap: random once, counted afterwards."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = 0

    def next(self) -> str:
        """Return the next id."""
        self._count += 1
        return f"{self._prefix}-{self._count:x}"


class FrontDoor:
    """The application of the API listener (http1.exchange.Application)."""

    def __init__(
        self,
        directory: Directory,
        registry: Registry,
        sweeper: Sweeper,
        outcomes: OutcomeLog,
        *,
        public_url: str,
        domain: str | None,
        wall_clock: Callable[[], datetime],
        direct: DirectConnections | None = None,
    ) -> None:
        domain_bytes = (domain or "").encode()
        self._rules = rules = AnswerRules(registry, public_url.encode(), domain_bytes)
        self._direct = direct
        self._entrance = Entrance(directory, Rates(), domain_bytes, self._context_path)
        self._around = Surroundings(registry, rules, sweeper, outcomes, direct)
        self._outcomes = outcomes
        self._wall_clock = wall_clock
        self._ids = RequestIds()
        self.is_draining = False
        self.local: LocalRelay | None = None  # who serves LOCAL_PREFIX; None: nothing is there
        self.hooks: HookDoor | None = None  # who takes webhooks; None: nothing is there
        self.proxies = TrustedProxies(())  # whose X-Forwarded-For is believed

    def __repr__(self) -> str:
        return f"<FrontDoor {self._entrance.directory!r} draining={self.is_draining}>"

    @property
    def kept_room(self) -> KeptRoom:
        """What the bodies kept for a replay take."""
        return self._around.room

    def use(self, directory: Directory) -> None:
        """Decide by this directory from now on."""
        self._entrance.directory = directory

    def begin(self, exchange: Exchange) -> ExchangeReceiver | None:
        """Admit the request and send it on its way, or answer why not."""
        request_id = self._ids.next()
        if self.proxies:
            exchange.peer = self.proxies.caller(exchange.peer, exchange.request.headers)
        try:
            request, domain = exchange.request, self._entrance.domain
            if self.local is not None and is_local(request, domain, LOCAL_PREFIX):
                return self.local.begin(exchange, request_id)
            if self.hooks is not None and is_local(request, domain, HOOKS_PREFIX):
                return self.hooks.begin(exchange, request_id)
            return self._admit(exchange, request_id)
        except Exception:  # a bug must not cost the caller its answer
            log.exception("request_crashed", request_id=request_id)
            if not exchange.responded:
                self._refuse(exchange, Refused(Problem(INTERNAL, CRASHED, processed=Processed.UNKNOWN)), request_id)
            return None

    def _admit(self, exchange: Exchange, request_id: str) -> ExchangeReceiver | None:
        try:
            admission = admit(exchange.request, self._entrance, self._wall_clock(), monotonic())
        except Refused as refused:
            self._refuse(exchange, refused, request_id)
            return None
        if self.is_draining:
            problem = Problem(DRAINING, "The gateway is restarting; try again.")
            self._refuse(exchange, Refused(problem, admission.grant.name), request_id)
            return None
        if self._outcomes.tracing is not None:
            self._outcomes.tracing.begin(admission)
        forward = Forward(exchange, admission, request_id, self._around)
        forward.start()
        return None if exchange.is_over else forward

    def reject(self, peer: str, rejection: RequestRejected, request: RequestHead | None) -> tuple[int, Headers, bytes]:
        """Say how a request is answered that broke HTTP's rules."""
        request_id = self._ids.next()
        problem = Problem(REJECTIONS[rejection.rejection], rejection.reason)
        self._outcomes.refused(peer, request, problem, request_id, caller="")
        return answer(problem, request_id)

    def _refuse(self, exchange: Exchange, refused: Refused, request_id: str) -> None:
        problem = refused.problem
        if problem.slug is BAD_REQUEST:  # who sends ambiguous requests is not trusted with the rest of its socket
            exchange.request.keep_alive = False
        status, headers, body = answer(problem, request_id)
        exchange.respond(status, headers, len(body))
        exchange.write(body)
        exchange.finish()
        self._outcomes.refused(
            exchange.peer, exchange.request, problem, request_id, caller=refused.caller, exchange=exchange
        )

    def _context_path(self, route: ConnectionEntry) -> bytes:
        if route.agent is not None:
            return self._rules.context_path(route.agent)
        return b"" if self._direct is None else self._direct.context_path(route)


def is_local(request: RequestHead, domain: bytes, prefix: bytes) -> bool:
    """Say whether a request is for us and not for a Jira, whose own paths may begin alike below its host name."""
    if not request.target.startswith(prefix):
        return False
    return not domain or by_host(request.host, domain, request.target) is None
