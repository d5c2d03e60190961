"""The gateway's composition root: builds the parts, runs them in one TaskGroup, and drains them in order.

Start: store, CA and tunnel certificate, then the listeners; ready once all of them listen. Stop (SIGTERM,
SIGINT): not ready first; then gateway.ending drains; then everything ends by cancellation. SIGHUP reads certificates
again.
"""

import asyncio
import signal
import socket
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from certs.errors import CertsError
from certs.expiry import CertificateFile
from gateway.access_log import open_access_log
from gateway.agent_streams import AgentStreams
from gateway.alerts.facts import Sources
from gateway.alerts.service import AlertService, open_alerts
from gateway.api_listener import ApiListener
from gateway.audit_heads import log_audit_heads
from gateway.authority_watch import AuthorityWatch
from gateway.certificate_authority import CertificateAuthority, tunnel_hosts
from gateway.console import Console
from gateway.direct_links import DirectConnections
from gateway.direct_origin import Origins
from gateway.directory import Directory, read_directory, watch
from gateway.egress import Dialer, Egress
from gateway.egress_proof import EgressProof
from gateway.ending import Ending
from gateway.enrollment import EnrollmentDesk
from gateway.events.service import EventService, Surroundings
from gateway.front_door import FrontDoor
from gateway.local_relay import LocalRelay
from gateway.management.office import Office
from gateway.management.server import SOCKET_NAME, serve_management
from gateway.metrics import GatewayMetrics
from gateway.outcomes import OutcomeLog
from gateway.registry import AgentLink, Registry
from gateway.renewals import Renewals
from gateway.sealing import SealingError, SecretKey, load_secret_key
from gateway.settings import GatewaySettings
from gateway.store import Store, StoreError, open_store
from gateway.store.engine import database_path
from gateway.store.event_store import EventStore, open_event_store
from gateway.store.migrate import migrate_apart
from gateway.tracing import open_tracing
from gateway.tunnel_listener import TunnelListener
from http1.limits import OpenSockets
from http1.sweep import Sweeper
from runtime import logs, loop
from runtime.address import Address
from runtime.admin import serve_admin
from runtime.control import serve_control
from runtime.exits import CONFIGURATION, OK, CommandFailed
from runtime.groups import leave_group, leaving_group
from runtime.identity import ensure_state_directory
from runtime.listening import Place, share
from runtime.systemd import Reporter, inherited_sockets
from runtime.version import release
from tunnel.budget import Budget

log = structlog.get_logger()

LISTENERS = ("api", "management", "tunnel", "admin", "control")
API_LISTEN = "JIRA_GATEWAY_API_LISTEN"
TUNNEL_LISTEN = "JIRA_GATEWAY_TUNNEL_LISTEN"
END_SECONDS = 10.0
"""What the end may take beside the drain."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the state directory: the store with its events, the key that seals its secrets, and the CA."""

    store: Store
    events: EventStore
    key: SecretKey
    authority: CertificateAuthority


class Gateway:
    """The parts of one running gateway, and what happens between them."""

    def __init__(
        self, settings: GatewaySettings, stored: Stored, directory: Directory, places: Mapping[str, Place] | None = None
    ) -> None:
        self._settings = settings
        self._stored, authority = stored, stored.authority
        self._tunnel_url = settings.derived_tunnel_url(settings.tunnel_listen)
        self.registry = Registry()
        self.authority = AuthorityWatch(authority, tunnel_hosts(self._tunnel_url), stored.store, self.registry)
        self.outcomes = OutcomeLog()
        self.budget = Budget(settings.memory_budget_bytes)
        self.sockets = OpenSockets(self.budget)
        self.sweeper = Sweeper()
        self.software = f"jira-gateway/{release()}"
        egress = Egress.from_settings(settings)
        egress.check_bindable()
        self.egress_proof, self._dialer = EgressProof(settings, egress), Dialer(egress, settings.allow_networks)
        self.direct = DirectConnections(Origins(settings, self._dialer), self.sweeper, self.budget, self.software)
        self.direct.use(directory)
        self.streams = AgentStreams(partial(datetime.now, UTC), self.sweeper, Renewals(stored.store, authority))
        self._places = places or find_places(settings, ())
        self._reporter = Reporter.of_this_process()
        self._silent = set(LISTENERS)  # those that are not up yet
        self.directory = directory
        self.tunnel = self._make_tunnel()
        self.api = ApiListener(settings, self._places[API_LISTEN], self.sweeper, self.sockets)
        self.local = LocalRelay(str(settings.state_dir / SOCKET_NAME), self.sweeper, self.outcomes)
        self.door: FrontDoor | None = None
        self.events: EventService | None = None
        self.metrics = self._measure()
        self.console = self._furnish_console()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain and return."""
        stop = asyncio.Event()
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, stop.set)
        running.add_signal_handler(signal.SIGHUP, self.reload)
        with leaving_group():
            async with asyncio.TaskGroup() as tasks:
                await self._open_door(tasks)
                tasks.create_task(self.sweeper.run())
                tasks.create_task(self.metrics.lag.run())
                tasks.create_task(self.direct.run())
                tasks.create_task(self.egress_proof.run())
                tasks.create_task(self._reporter.run(self.console.headline))
                tasks.create_task(
                    self.tunnel.run(self._places[TUNNEL_LISTEN], self.authority.tls, self._tunnel_started)
                )
                tasks.create_task(self.tunnel.canaries.run())
                tasks.create_task(watch(self._stored.store, self._stored.key, self._use, seen=self.directory.version))
                tasks.create_task(self.authority.run(self._use_authority))
                tasks.create_task(self.streams.renewals.run())
                tasks.create_task(self._serve_console())
                tasks.create_task(self._serve_management())
                tasks.create_task(log_audit_heads(self._stored.store))
                await stop.wait()
                await self._drain()
                log.info("gateway_stopped")
                leave_group()

    def reload(self) -> None:
        """Read the certificate for callers and the CA's files again (SIGHUP); bad ones change nothing."""
        with self._reporter.reloading():
            self.api.socket.renew()
            try:
                self.authority.reload(datetime.now(UTC))
            except CertsError as error:
                log.error("authority_unusable", reason=str(error))  # noqa: TRY400 - the reason says it all
            self._use_authority()
            log.info("gateway_reloaded")

    def _listens(self, listener: str) -> None:
        """Tell systemd that the gateway is up once all of its listeners are."""
        self.console.not_ready.pop(listener, None)
        self._silent.discard(listener)
        if not self._silent:
            self._reporter.ready()

    async def _serve_console(self) -> None:
        settings, console = self._settings, self.console
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                serve_admin(
                    settings.admin_listen,
                    console.pages(),
                    "JIRA_GATEWAY_ADMIN_LISTEN",
                    self.sweeper,
                    started=lambda: self._listens("admin"),
                )
            )
            tasks.create_task(
                serve_control(
                    settings.state_dir, console.commands(), self.sweeper, started=lambda: self._listens("control")
                )
            )

    def _measure(self) -> GatewayMetrics:
        settings = self._settings
        api = {} if settings.api_cert_file is None else {"api": CertificateFile(settings.api_cert_file)}
        return GatewayMetrics(
            self.registry,
            self.outcomes,
            self.sockets,
            self.budget,
            self.direct,
            self.egress_proof,
            lambda: self.directory,
            settings.state_dir,
            self._stored.authority.certificate_files | api,
            lines=self.tunnel.line_desk,
        )

    def _make_tunnel(self) -> TunnelListener:
        desk = EnrollmentDesk(self._stored.store, self._stored.authority)
        return TunnelListener(
            self.registry, self.budget, desk, self.directory, self.authority.denied, self.software, self.streams
        )

    def _furnish_console(self) -> Console:
        console = Console(
            self.registry,
            self.outcomes,
            self.direct,
            self.egress_proof,
            lambda: self.directory,
            self.software,
            self.metrics.page.pieces,
        )
        self.metrics.is_ready = lambda: console.ready() is None
        console.not_ready |= {
            "api": "the API listener is starting",
            "management": "the management API is starting",
            "tunnel": "the tunnel is starting",
        }
        return console

    async def _open_door(self, tasks: asyncio.TaskGroup) -> None:
        settings = self._settings
        bound = await self.api.bind(lambda: self.door)
        self.door = FrontDoor(
            self.directory,
            self.registry,
            self.sweeper,
            self.outcomes,
            public_url=settings.derived_public_url(bound),
            domain=settings.connection_domain,
            wall_clock=partial(datetime.now, UTC),
            direct=self.direct,
        )
        self.door.local = self.local
        self.tunnel.proxies = self.door.proxies = self.api.proxies
        self.events = self._open_events(settings.derived_public_url(bound))
        self.door.hooks = self.events.door
        self.console.events = self.metrics.events = self.events
        self.metrics.room = self.door.kept_room
        tasks.create_task(self.events.run())
        self.console.alerts = self.metrics.alerts = self._open_alerts(settings.derived_public_url(bound))
        if self.console.alerts is not None:
            tasks.create_task(self.console.alerts.run())
        tasks.create_task(self.local.run())
        tasks.create_task(self.api.run())
        self._listens("api")
        log.info("api_listening", address=str(bound), public_url=settings.derived_public_url(bound))

    def _open_alerts(self, public_url: str) -> AlertService | None:
        sources = Sources(
            self.registry, lambda: self.directory, self.metrics.certificates, self.outcomes, self._stored.events
        )
        return open_alerts(self._settings, sources, self._dialer, self.sweeper, public_url, self.software)

    def _open_events(self, public_url: str) -> EventService:
        stored = self._stored
        around = Surroundings(
            self._settings,
            stored.store,
            stored.events,
            stored.key,
            self.registry,
            self.direct,
            self._dialer,
            self.sweeper,
            self.outcomes,
            public_url,
            self.software,
        )
        events = EventService(around, self.directory)
        self.streams.desk = events
        self.tunnel.on_link = self._greet
        return events

    def _tunnel_started(self, bound: Address) -> None:
        self._listens("tunnel")
        self._tunnel_url = self._settings.derived_tunnel_url(bound)
        log.info("gateway_ready", tunnel_url=self._tunnel_url, version=release())

    async def _serve_management(self) -> None:
        stored, settings = self._stored, self._settings
        if self.events is None:
            raise RuntimeError("the management API comes after the events")

        async def refresh() -> None:
            self._use(await read_directory(stored.store, stored.key))

        office = Office(
            settings=settings,
            key=stored.key,
            store=stored.store,
            authority=stored.authority,
            directory=lambda: self.directory,
            refresh=refresh,
            commands=self.console.commands(),
            tunnel_url=lambda: self._tunnel_url,
            now=partial(datetime.now, UTC),
            events=stored.events,
            feed=self.events.feed,
        )

        await serve_management(settings.state_dir, office, self.software, started=lambda: self._listens("management"))

    def _use(self, directory: Directory) -> None:
        """Make a changed store count: for the next request, and for links whose certificate was revoked."""
        if directory.version < self.directory.version:
            return  # it was read before the one in force
        self.directory = directory
        self.direct.use(directory)
        if self.door is not None:
            self.door.use(directory)
        if self.events is not None:
            self.events.use(directory)
        self.tunnel.use(directory, self.authority.denied)

    def _use_authority(self) -> None:
        """Drop the links of what jira-certs has denied, and of what has expired."""
        self.tunnel.use(self.directory, self.authority.denied)

    def _greet(self, agent_link: AgentLink) -> None:
        if self.events is not None:
            self.events.tell_hooks(agent_link)
        self.authority.greet(agent_link)

    async def _drain(self) -> None:
        seconds = self._settings.drain_seconds
        self.console.not_ready["stop"] = "the gateway is stopping"
        self._reporter.stopping(seconds + END_SECONDS)
        ending = Ending(self.api, self.tunnel, self.local, self.direct, self.registry, self.sockets)
        if self.door is not None and self.events is not None:
            await ending.drain(self.door, self.events.feed.close, seconds)


def main(settings: GatewaySettings) -> int:
    """Run the gateway until it is told to stop; raises `CommandFailed` when it cannot start."""
    logs.configure(settings.log_level, settings.log_format)
    ensure_state_directory(settings.state_dir, settings.prefix)
    places = find_places(settings, inherited_sockets())  # a disagreement is told before anything else happens
    migrate_apart(database_path(settings.state_dir, settings.database_url))
    with logs.apart(settings.log_level, settings.log_format) as lines:
        loop.run(_serve(settings, places, lines))
    return OK


def find_places(settings: GatewaySettings, held: Iterable[socket.socket]) -> dict[str, Place]:
    """Return where callers and agents are listened for; raises `ConfigurationError` when `held` does not fit."""
    return share(held, {API_LISTEN: settings.api_listen, TUNNEL_LISTEN: settings.tunnel_listen})


async def _serve(settings: GatewaySettings, places: Mapping[str, Place], lines: logs.LineSink) -> None:
    now = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        try:
            key = load_secret_key(settings.state_dir, settings.secret_key)
            path = database_path(settings.state_dir, settings.database_url)
            store = await stack.enter_async_context(open_store(path, key, now))
            events = await stack.enter_async_context(open_event_store(path))
            authority = CertificateAuthority(settings.state_dir)
            authority.create_if_absent(now)
            directory = await read_directory(store, key)
            gateway = Gateway(settings, Stored(store, events, key, authority), directory, places)
            gateway.outcomes.access = open_access_log(settings, lines)
            gateway.outcomes.tracing = stack.enter_context(open_tracing(settings))
        except (CertsError, SealingError, StoreError) as error:
            raise CommandFailed(str(error), CONFIGURATION) from None
        except OSError as error:
            raise CommandFailed(
                f"{error.filename}: {error.strerror}; check its owner and mode", CONFIGURATION
            ) from None
        await gateway.run()
