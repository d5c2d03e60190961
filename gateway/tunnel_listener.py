"""Accepts agents: mutual TLS, who they are by their certificate, a `Link` each; and enrolment on the same port.

Identity comes from the certificate alone (docs/contract.md §6 rule 3). A revoked certificate is refused at the upgrade
and loses its live links with the next directory. Opens are paced, so that a thousand agents that lost the gateway
at once do not starve the requests of those who are back.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from certs.certificates import AgentCertificate, read_peer, serial_hex
from certs.errors import CertsError
from certs.revocation import DenyList
from certs.tls import TunnelTls
from gateway.agent_streams import AgentStreams
from gateway.canary_watch import CanaryWatch
from gateway.directory import Directory
from gateway.doorway import Doorway
from gateway.enrollment import ENROLL_PATH, EnrollmentDesk
from gateway.line_desk import LineDesk
from gateway.rates import Rates
from gateway.registry import AgentLink, Registry
from gateway.trusted_proxies import TrustedProxies
from runtime.address import Address
from runtime.configuration import cannot_bind
from runtime.listening import Place
from tunnel.budget import Budget
from tunnel.errors import LinkClosed
from tunnel.link import SUBPROTOCOL, WEBSOCKET_OPTIONS, Link
from tunnel.probing import PATH as PROBE_PATH
from tunnel.session import Role, Session
from tunnel.sockets import tune_socket

log = structlog.get_logger()

TUNNEL_PATH = "/tunnel/v1"
OPENS_PER_SECOND = 90.0
OPENS_BURST = 10.0
"""Both together: never more than 100 in any second."""
OPEN_SECONDS = 10.0
BACKLOG = 1024
MAX_LINKS = 256
"""Of one instance: above what an agent may be set to, below what would starve the others."""
GOODBYE_SECONDS = 2.0
_NEVER = datetime.max.replace(tzinfo=UTC)


class TunnelListener:
    """The agents' side of the gateway. `directory` is replaced by `use` when the store changes."""

    def __init__(
        self,
        registry: Registry,
        budget: Budget,
        desk: EnrollmentDesk,
        directory: Directory,
        denied: DenyList,
        software: str,
        streams: AgentStreams,
    ) -> None:
        self._registry = registry
        self._budget = budget
        self._desk = desk
        self._directory = directory
        self._denied = denied
        self._expires_at = _NEVER  # the first certificate of a link that is up
        self._software = software
        self._streams = streams
        self.on_link: Callable[[AgentLink], None] = lambda _: None  # hears of every new link
        self._opens = Rates(OPENS_BURST)
        self.line_desk = LineDesk(software)
        self.proxies = TrustedProxies(())  # whose PROXY header is believed
        self.is_draining = False
        self.hold: Callable[[], None] = lambda: None  # lets new agents wait in the kernel, where systemd listens too
        self.canaries = CanaryWatch(registry, lambda: self.is_draining)

    def __repr__(self) -> str:
        return f"<TunnelListener {self._registry!r} draining={self.is_draining}>"

    async def run(self, place: Place, tls: TunnelTls, started: Callable[[Address], None]) -> None:
        """Accept agents at `place` until cancelled; `started` gets the address that was bound."""
        async with asyncio.TaskGroup() as arriving:
            server = await self._bind(place, tls, Doorway(self.proxies, lambda: tls.context, arriving.create_task))
            if place.held is not None:
                self.hold = lambda: server.close(close_connections=False)
            try:
                bound = Address(*server.sockets[0].getsockname()[:2])
                log.info("tunnel_listening", address=str(bound))
                started(bound)
                await asyncio.Event().wait()  # no deadline: this is the listener's whole life
            finally:
                await self._close(server)

    def use(self, directory: Directory, denied: DenyList) -> None:
        """Decide by this directory from now on, and drop the links of what was revoked or has expired meanwhile.

        Cheap when nothing is new: links are checked and kept in one step, so what was known then revokes none of them.
        """
        is_new = directory is not self._directory or denied is not self._denied
        self._directory = directory
        self._denied = denied
        now = datetime.now(UTC)
        if is_new or now >= self._expires_at:
            self._drop_ended(now)
        self.line_desk.drop(lambda certificate: certificate.not_after <= now or self._is_revoked(certificate))

    def _drop_ended(self, now: datetime) -> None:
        self._expires_at = _NEVER
        for agent_link in self._registry.every_link():
            certificate = agent_link.certificate
            expired = certificate.not_after <= now
            if expired or self._is_revoked(certificate):
                reason = "expired" if expired else "revoked"
                log.warning("link_dropped", agent=str(agent_link.identity), address=agent_link.address, reason=reason)
                agent_link.link.abort()
            else:
                self._expires_at = min(self._expires_at, certificate.not_after)

    async def _bind(self, place: Place, tls: TunnelTls, doorway: Doorway) -> Server:
        def arrive(protocol: ServerProtocol, server: Server, **options: Any) -> ServerConnection:
            return _Arrival(doorway, protocol, server, **options)

        proxied: dict[str, Any] = {"create_connection": arrive} if self.proxies else {"ssl": tls.context}
        try:
            return await serve(
                self._serve,
                **place.options(),
                backlog=BACKLOG,
                **proxied,
                process_request=self._process_request,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                open_timeout=OPEN_SECONDS,
                server_header=None,
                **WEBSOCKET_OPTIONS,  # type: ignore[arg-type] # one table of options for dialer and listener
            )
        except OSError as error:
            raise cannot_bind(place.variable, place.listen, error) from None

    async def _close(self, server: Server) -> None:
        server.close(close_connections=False)
        for agent_link in self._registry.every_link():
            agent_link.link.abort()
        self.line_desk.drop(lambda _: True)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await server.wait_closed()

    def _process_request(self, websocket: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == ENROLL_PATH:
            return _try_later(websocket, 1) if self._desk.is_full else None
        if path not in {TUNNEL_PATH, PROBE_PATH}:
            return websocket.respond(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        certificate = _certificate(websocket)
        if certificate is None:
            return websocket.respond(HTTPStatus.FORBIDDEN, "certificate_missing\n")
        if self._is_revoked(certificate):
            log.warning("agent_refused", agent=str(certificate.identity), address=_peer(websocket), reason="revoked")
            return websocket.respond(HTTPStatus.FORBIDDEN, "certificate_revoked\n")
        if path == PROBE_PATH:
            pause = 1 if self.is_draining else self.line_desk.knock(certificate)
            return _try_later(websocket, pause) if pause else None
        if self._has_links_enough(certificate):
            log.warning(
                "agent_refused", agent=str(certificate.identity), address=_peer(websocket), reason="too many links"
            )
            return _try_later(websocket, 60)
        wait = self._opens.take("", OPENS_PER_SECOND, monotonic())
        if wait or self.is_draining:
            return _try_later(websocket, 1 if self.is_draining else 1 + int(wait))
        return None

    async def _serve(self, websocket: ServerConnection) -> None:
        request = websocket.request
        if request is not None and request.path.partition("?")[0] == ENROLL_PATH:
            await self._desk.serve(websocket, _peer(websocket))
            return
        certificate = _certificate(websocket)
        # Asked again: the store may have changed since the upgrade, and `use` has seen only registered links.
        if certificate is None or self._is_revoked(certificate):
            return
        if request is not None and request.path.partition("?")[0] == PROBE_PATH:
            await self.line_desk.serve(websocket, certificate)
            return
        await self._serve_link(websocket, certificate)

    async def _serve_link(self, websocket: ServerConnection, certificate: AgentCertificate) -> None:
        tune_socket(websocket.transport.get_extra_info("socket"))
        for head in (websocket.request, websocket.response):
            if head is not None:
                head.headers.clear()  # 3 KiB that nobody asks for again
        session = Session(Role.GATEWAY, budget=self._budget, clock=monotonic, software=self._software)

        def announce(settings: dict[bytes, bytes]) -> None:
            agent_link.announce(settings)

        link = Link(websocket, session, self._streams.of(certificate.identity), on_settings=announce)
        agent_link = AgentLink(certificate, link, _peer(websocket), datetime.now(UTC))
        self._registry.add(agent_link)
        self._expires_at = min(self._expires_at, certificate.not_after)
        self.on_link(agent_link)
        log.info("link_up", agent=str(certificate.identity), address=agent_link.address, link=agent_link.number)
        try:
            await link.run()
        except LinkClosed as closed:
            where = {"agent": str(certificate.identity), "address": agent_link.address, "link": agent_link.number}
            log.info("link_down", **where, reason=str(closed))
        finally:
            self._registry.remove(agent_link)

    def _has_links_enough(self, certificate: AgentCertificate) -> bool:
        identity = certificate.identity
        return sum(link.identity == identity for link in self._registry.every_link(identity.name)) >= MAX_LINKS

    def _is_revoked(self, certificate: AgentCertificate) -> bool:
        identity = certificate.identity
        recorded = self._directory.revoked(identity.name, identity.instance, serial_hex(certificate.serial))
        return recorded or self._denied.denies(certificate)


class _Arrival(ServerConnection):
    """An agent's socket that comes through a load balancer (gateway.doorway.Admitted)."""

    def __init__(self, doorway: Doorway, protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self._doorway = doorway
        self.caller = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send it through the doorway first."""
        self._doorway.enter(transport, self)

    def admit(self, transport: asyncio.Transport, caller: str) -> None:
        """Begin to serve the agent that the load balancer has named."""
        self.caller = caller
        super().connection_made(transport)


def _try_later(websocket: ServerConnection, seconds: int) -> Response:
    response = websocket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "try_later\n")
    response.headers["Retry-After"] = str(seconds)
    return response


def _certificate(websocket: ServerConnection) -> AgentCertificate | None:
    """Return what the peer's certificate says; TLS has verified its chain and dates."""
    tls = websocket.transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if der is None:
        return None
    try:
        return read_peer(der)
    except CertsError as error:
        log.warning("agent_refused", address=_peer(websocket), reason=str(error))
        return None


def _peer(websocket: ServerConnection) -> str:
    if isinstance(websocket, _Arrival):
        return websocket.caller
    address = websocket.remote_address
    return str(address[0]) if address else ""
