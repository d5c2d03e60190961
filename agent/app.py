"""The composition root of ``jira-agent run``: builds the parts, runs them in one TaskGroup, drains, ends.

Start: admin pages and control socket first, so that a waiting agent can be asked what it waits for; then the identity
(waited for quietly), the webhook listener, Jira's address, one look at Jira, and the links. End: no new requests, those
under way get DRAIN_SECONDS, then everything is cancelled; webhooks are taken until then, because Jira sends each only
once (agent.webhooks). SIGHUP reads policy and credentials again; bad ones change nothing.
"""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic

import structlog

from agent.addresses import JiraAddress
from agent.audit_log import AUDIT_FOLDER, AuditLog
from agent.audited import about_certificate, about_policy
from agent.carrier import Carrier, report
from agent.dialer import Dialer, Websocket
from agent.errors import Cause, DialError
from agent.identity import Identity, is_enrolled, read_identity
from agent.jira_probe import JiraProbe
from agent.jira_side import JiraSide
from agent.links import LinkCount
from agent.metrics import AgentMetrics, certificate_files
from agent.policy import Policy
from agent.renewal import Renewal
from agent.routes import make_origin, make_route
from agent.rules import check_rules, load_screening, user_agent
from agent.screening import Screening
from agent.settings import AgentSettings
from agent.status import WAITING, Service, StatusBoard
from agent.supervisor import Supervisor
from agent.switch import Switch
from agent.switch_commands import switch_commands
from agent.tally import Tally
from agent.webhook_listener import webhook_tls
from agent.webhooks import Webhooks, wall_clock
from certs.errors import CertsError
from http1.client import ClientPool
from http1.sweep import Sweeper
from jira_api.protection.protection import Protection
from jira_api.readiness import Finding
from runtime.admin import Pages, serve_admin
from runtime.configuration import ConfigurationError
from runtime.control import serve_control
from runtime.exits import CONFIGURATION, CommandFailed
from runtime.identity import ensure_state_directory
from runtime.systemd import Reporter
from runtime.version import release
from runtime.watched_files import watch_files
from tunnel.budget import Budget
from tunnel.link import Link
from tunnel.session import Role, Session

log = structlog.get_logger()

ENROLMENT_POLL_SECONDS = 1.0
END_SECONDS = 10.0
"""What the end may take beside the drain."""


class Stopped(Exception):
    """Leaves the TaskGroup after the drain."""


class Agent:
    """One running agent. `read_settings` reads the settings anew, for SIGHUP."""

    def __init__(self, settings: AgentSettings, read_settings: Callable[[], AgentSettings]) -> None:
        """Check everything that can be checked without waiting; raises `ConfigurationError`."""
        check(settings)
        self._settings = settings
        self._read_settings = read_settings
        self._watched = _jira_files(settings)
        self._route = make_route(settings)
        self._tally = Tally()
        self._protection = Protection(settings.max_concurrency, monotonic)
        self._budget = Budget(settings.memory_budget_bytes)
        self._sweeper = Sweeper()
        self._sweeper.add(self._protection)
        self._stop = asyncio.Event()
        self._reporter = Reporter.of_this_process()
        self._silent = {"admin", "control"}  # listeners that are not up yet
        self._audit = AuditLog(settings.state_dir / AUDIT_FOLDER, settings.audit_max_bytes)
        self._noted_serial: int | None = None
        self.switch = Switch(settings.state_dir, wall_clock)  # before anything that could take a request
        self.board = StatusBoard(self._tally, self._protection, self._budget)
        self.board.switch, self.board.audit = self.switch, self._audit
        self.metrics = AgentMetrics(
            self.board,
            self._tally,
            self._protection,
            self._budget,
            settings.state_dir,
            certificate_files(settings),
        )

    async def run(self) -> None:
        """Serve until `stop`; raises `CommandFailed` when the agent cannot go on."""
        self._audit.open(version=release(), switch=self.switch.state.mode.value)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reporter.run(self.board.line))
                tasks.create_task(self._serve_admin())
                tasks.create_task(self._serve_control())
                tasks.create_task(self.switch.run())
                tasks.create_task(self._audit.run())
                tasks.create_task(self._sweeper.run())
                tasks.create_task(self.metrics.lag.run())
                tasks.create_task(self._serve())
                await self._stop.wait()  # no deadline: the life of the process
                await self._drain()
                raise Stopped
        except BaseExceptionGroup as group:
            failed = group.subgroup(CommandFailed)
            if failed is not None:
                raise _first(failed) from None
            if group.split(Stopped)[1] is not None:
                raise
        finally:
            self._audit.close()  # after everything that ends requests

    def stop(self) -> None:
        """End in good order (SIGTERM)."""
        log.info("agent_stopping", drain_seconds=self._settings.drain_seconds)
        self._reporter.stopping(self._settings.drain_seconds + END_SECONDS)
        self._stop.set()

    def reload(self) -> None:
        """Read policy and credentials again (SIGHUP); what is wrong with them is told, and the old ones stay.

        Logins that Jira refused are tried again: somebody may have unlocked the account.
        """
        with self._reporter.reloading():
            self._reload()
            if self.board.service is not None and self.board.service.webhooks is not None:
                self.board.service.webhooks.renew()

    def _reload(self) -> None:
        service, screening = self.board.service, self._read_screening()
        if service is None or screening is None:
            return  # before there is a service nothing is in force: all is read when the links are made
        service.carrier.screening = screening
        self._protection.accounts.renew()
        self._note_policy(screening.policy)

    def use_new_credentials(self) -> None:
        """Read the credentials again because their file has changed; the policy stays as it is."""
        service, screening = self.board.service, self._read_screening()
        if service is None or screening is None:
            return
        old = service.carrier.screening
        if not screening.credentials.is_same_as(old.credentials):
            service.carrier.screening = replace(old, credentials=screening.credentials)
            self._protection.accounts.renew_own()
            self._audit.note("jira_credentials", credentials=screening.credentials.kind.value)
            log.info("jira_credentials_changed", kind=screening.credentials.kind.value)

    def use_new_policy(self) -> None:
        """Read the policy again because its file has changed; the credentials stay as they are."""
        service, screening = self.board.service, self._read_screening()
        if service is not None and screening is not None:
            service.carrier.screening = replace(service.carrier.screening, policy=screening.policy)
            self._note_policy(screening.policy)

    def _note_policy(self, policy: Policy) -> None:
        self._audit.note("policy", **about_policy(policy))
        log.info("agent_reloaded", policy=policy.source, rules=len(policy.rules.rules))

    def _policy_file(self) -> list[Path]:
        file = self._settings.policy_file
        return [] if file is None else [file]

    def _read_screening(self) -> Screening | None:
        if self.board.service is None:
            return None
        try:
            settings = self._read_settings()
            screening = load_screening(settings, self.board.service.jira)
        except ConfigurationError as error:
            self.board.reload_problem = str(error)
            # What is wrong is the file, not this code: no traceback.
            log.error("agent_reload_failed", reason=str(error), action="the old ones stay")  # noqa: TRY400
            return None
        self._watched = _jira_files(settings)
        self.board.reload_problem = None
        return screening

    async def _serve(self) -> None:
        await self._wait_for_enrolment()
        settings = self._settings
        jira = settings.required_jira()
        identity = self._checked_identity()
        webhooks = Webhooks(settings, self._sweeper)
        await webhooks.start()
        pool = ClientPool(make_origin(settings, jira), self._sweeper, memory=self._budget)
        side = JiraSide(pool, self._protection, self._sweeper, self._tally, monotonic, report, self._audit)
        carrier = Carrier(load_screening(settings, jira), side, self.switch)
        self._audit.note("policy", **about_policy(carrier.screening.policy))
        dialer = Dialer(self._route, user_agent())
        supervisor, renewal = self._make_links(dialer, carrier, webhooks, identity)
        probe = JiraProbe(
            pool,
            jira.context_path.encode("ascii"),
            user_agent().encode("ascii"),
            lambda finding: supervisor.announce(news(jira, identity, finding) | webhooks.news() | self.switch.news()),
            self._protection,
        )
        probe.on_return = webhooks.jira_returned
        self._protection.breaker.on_doubt = probe.doubt
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                webhooks.run(lambda: [] if self.switch.is_paused else [live.link for live in supervisor.links])
            )
            tasks.create_task(pool.run())
            await asyncio.sleep(0)  # the pool takes requests from its first turn on
            await probe.ask()
            self.board.service = Service(jira, self._identity, supervisor, dialer, probe, carrier, webhooks, renewal)
            log.info("agent_started", agent=identity.name, instance=identity.instance, jira=jira.url)
            tasks.create_task(probe.run())
            tasks.create_task(watch_files(lambda: self._watched, self.use_new_credentials))
            tasks.create_task(watch_files(self._policy_file, self.use_new_policy))
            tasks.create_task(supervisor.run())
            tasks.create_task(renewal.run())

    async def _wait_for_enrolment(self) -> None:
        directory = self._settings.state_dir
        if not is_enrolled(directory):
            log.info("agent_waiting", reason=WAITING, action="run 'jira-agent enroll'", state_dir=str(directory))
            while not is_enrolled(directory):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(ENROLMENT_POLL_SECONDS)
            self._take_settings_of_enrolment()

    def _take_settings_of_enrolment(self) -> None:
        """Read the settings again: `enroll` may have written Jira's address into the env file meanwhile."""
        settings = self._read_settings()
        check(settings)
        self._settings, self._watched, self._route = settings, _jira_files(settings), make_route(settings)

    def _checked_identity(self) -> Identity:
        """Return the identity; wrong modes on its files refuse the start."""
        try:
            identity = read_identity(self._settings.state_dir)
            identity.context()
        except CertsError as error:
            raise CommandFailed(str(error), CONFIGURATION) from None
        return identity

    def _identity(self) -> Identity:
        try:
            identity = read_identity(self._settings.state_dir)
        except CertsError as error:
            raise DialError(Cause.IDENTITY_UNUSABLE, str(error)) from None
        if identity.certificate.serial != self._noted_serial:  # enrolled, or renewed
            self._noted_serial = identity.certificate.serial
            self._audit.note("certificate", **about_certificate(identity))
        return identity

    def _make_links(
        self, dialer: Dialer, carrier: Carrier, webhooks: Webhooks, identity: Identity
    ) -> tuple[Supervisor, Renewal]:
        """Return who keeps the links, and who keeps the certificate that they show."""

        def learn(told: dict[bytes, bytes]) -> None:
            webhooks.learn(told)
            renewal.learn(told)

        settings = self._settings
        supervisor = Supervisor(
            LinkCount(settings.links.minimum, settings.links.maximum),
            dialer,
            lambda websocket: self._make_link(websocket, carrier, learn),
            self._identity,
            settings.gateway_url,
        )
        rng = Random()  # noqa: S311 - jitter, no secret
        renewal = Renewal(supervisor, dialer, identity, partial(datetime.now, UTC), monotonic, rng)
        return supervisor, renewal

    def _make_link(self, websocket: Websocket, carrier: Carrier, learn: Callable[[dict[bytes, bytes]], None]) -> Link:
        # Not the loop's time: uvloop counts whole milliseconds, and windows could not follow a short round trip.
        session = Session(Role.AGENT, budget=self._budget, clock=monotonic, software=user_agent())
        return Link(websocket, session, carrier.accept, on_settings=learn)

    async def _drain(self) -> None:
        """Let requests finish. Webhooks are still taken: refused ones are lost, spooled ones go with the next start."""
        if self.board.service is not None:
            await self.board.service.supervisor.drain(self._settings.drain_seconds)

    async def _serve_admin(self) -> None:
        pages = Pages(self.board.ready, self.board.page, self.metrics.page.pieces)
        listen = self._settings.admin_listen
        await serve_admin(
            listen, pages, "JIRA_AGENT_ADMIN_LISTEN", self._sweeper, started=lambda: self._listens("admin")
        )

    async def _serve_control(self) -> None:
        commands = {
            "status": self._answer_status,
            **switch_commands(self.switch, lambda: self.board.service, self._audit.note),
        }
        await serve_control(self._settings.state_dir, commands, self._sweeper, started=lambda: self._listens("control"))

    def _listens(self, listener: str) -> None:
        """Tell systemd that the agent is up once a person can ask it how it is; no network or enrolment is needed."""
        self._silent.discard(listener)
        if not self._silent:
            self._reporter.ready()

    async def _answer_status(self, arguments: dict[str, object]) -> dict[str, object]:
        del arguments
        return dict(self.board.page())


def check(settings: AgentSettings) -> None:
    """Raise `ConfigurationError` for what would only be noticed later, perhaps after days of waiting for enrolment."""
    check_rules(settings)
    webhook_tls(settings)
    if settings.jira_url is not None:
        make_origin(settings, settings.jira_url)
    if is_enrolled(settings.state_dir):
        settings.required_jira()


async def main(settings: AgentSettings, read_settings: Callable[[], AgentSettings]) -> None:
    """Run the agent until SIGTERM or SIGINT; raises `CommandFailed` when it cannot."""
    ensure_state_directory(settings.state_dir, settings.prefix)
    if is_enrolled(settings.state_dir):  # perhaps since they were read, and `enroll` writes settings first
        settings = read_settings()
    agent = Agent(settings, read_settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    loop.add_signal_handler(signal.SIGHUP, agent.reload)
    await agent.run()


def news(jira: JiraAddress, identity: Identity, finding: Finding) -> dict[bytes, bytes]:
    """Return what gateways are told: where Jira is, so that they can rewrite its links (docs/protocol.md §4.6)."""
    told = {
        b"jira-url": jira.url,
        b"context-path": jira.context_path,
        b"instance": identity.instance,
        b"version": release(),
    }
    if finding.info is not None:
        told |= {b"jira-base-url": finding.info.base_url, b"jira-version": finding.info.version}
    return {key: value.encode("utf-8") for key, value in told.items()}


def _jira_files(settings: AgentSettings) -> list[Path]:
    """Return the files that Jira's credentials come from."""
    return [path for name, path in settings.secret_files.items() if name.startswith("jira_")]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first leaf of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
