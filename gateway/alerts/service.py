"""Runs alerts: looks every few seconds, lets the book decide, hands notices to the sender, keeps both over a restart.

The state is one small private file in the state directory. One that cannot be read is started anew, and one that cannot
be written is logged: alerts are worth more than their memory.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from certs.errors import CertsError, FileUnusable
from certs.files import read_private, write_private
from gateway.alerts.book import AlertBook, Kind
from gateway.alerts.facts import Sources, here, look
from gateway.alerts.sender import AlertSender, Destination
from gateway.egress import Dialer
from gateway.events.subscribers import Subscribers
from gateway.events.targets import check_target, read_target
from gateway.settings import GatewaySettings
from gateway.store import StoreError
from gateway.unacceptable import Unacceptable
from http1.sweep import Sweeper
from runtime.configuration import ConfigurationError

log = structlog.get_logger()

LOOK_SECONDS: Final = 5.0
FILE_NAME: Final = "alerts.json"
URL: Final = "JIRA_GATEWAY_ALERT_URL"
_OF_EVENTS: Final = frozenset({Kind.DEAD_LETTERS, Kind.EVENTS_LOST})


class AlertService:
    """Everything about alerts of one gateway."""

    def __init__(
        self, to: Destination, sources: Sources, client: Subscribers, path: Path, clock: Callable[[], datetime]
    ) -> None:
        self._sources = sources
        self._client = client
        self._path = path
        self._clock = clock
        self._changed = asyncio.Event()  # something is not on the disk yet
        self._is_failing = False
        self._writing = threading.Lock()
        self._made = self._written = 0  # states by number
        self._host = read_target(to.url.get_secret_value()).place.host
        self.book = AlertBook()
        self.sender = AlertSender(to, client, clock, self._changed.set)

    def __repr__(self) -> str:
        return f"<AlertService {len(self.book.alerts())} open {self.sender!r}>"

    async def run(self) -> None:
        """Look and tell until cancelled."""
        self._restore()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._client.run())
                tasks.create_task(self.sender.run())
                tasks.create_task(self._keep())
                while True:
                    await self.look()
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._save(*self._state())

    async def look(self) -> None:
        """Look once."""
        now = self._clock()
        unknown: frozenset[Kind] = frozenset()
        try:
            facts = await look(self._sources, now)
        except StoreError:
            facts, unknown = here(self._sources, now), _OF_EVENTS
        for alert in self.book.observe(facts, now, unknown=unknown):
            if alert.resolved_at is None:
                log.warning("alert", alert=alert.id, kind=alert.kind.value, subject=alert.subject, text=alert.text)
            else:
                log.info("alert_resolved", alert=alert.id)
            self.sender.add(alert)

    def page(self) -> dict[str, Any]:
        """Return the status page's part about alerts."""
        sender = self.sender
        return {
            "server": self._host,
            "open": [{"id": alert.id, "text": alert.text} for alert in self.book.alerts()],
            "waiting": sender.waiting,
            "sent": sender.sent,
            "failed": sender.failed,
            "given_up": sender.given_up,
            "problem": sender.last_error,
        }

    async def test(self) -> dict[str, Any]:
        """Post a test once, beside the queue."""
        attempt = await self.sender.post(None)
        return {"ok": attempt.is_success, "status": attempt.status, "error": attempt.error}

    def _state(self) -> tuple[int, bytes]:
        """Return what is to be kept, and its number."""
        self._made += 1
        return self._made, json.dumps({"open": self.book.rows(), "waiting": self.sender.rows()}).encode()

    async def _keep(self) -> None:
        """Write each change soon, so that nothing is told twice."""
        while True:
            await self._changed.wait()  # no deadline: nothing has changed
            self._changed.clear()
            await asyncio.to_thread(self._save, *self._state())
            if self._is_failing:
                self._changed.set()
                await asyncio.sleep(LOOK_SECONDS)

    def _restore(self) -> None:
        try:
            if not self._path.exists():
                return
            state = json.loads(read_private(self._path))
            self.book.restore(state["open"])
            self.sender.restore(state["waiting"])
        except (CertsError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("alerts_forgotten", file=str(self._path), reason=str(error) or type(error).__name__)
        for alert in self.book.alerts():
            if alert.kind is Kind.LOGIN_REJECTED:  # nothing but the next good answer says that it is over
                self._sources.outcomes.rejected_logins.setdefault(alert.subject, alert.since)

    def _save(self, number: int, content: bytes) -> None:
        """Write a state, unless a later one is written already: at a stop there may be one in a thread."""
        try:
            with self._writing:
                if number > self._written:
                    self._written = number
                    write_private(self._path, content)
            self._is_failing = False
        except (CertsError, FileUnusable) as error:
            if not self._is_failing:
                log.error("alerts_not_kept", file=str(self._path), reason=str(error))  # noqa: TRY400 - it says it all
            self._is_failing = True


def open_alerts(
    settings: GatewaySettings, sources: Sources, dialer: Dialer, deadlines: Sweeper, gateway: str, software: str
) -> AlertService | None:
    """Return the alerts of the gateway at the address `gateway`, None when they are off.

    Raises `ConfigurationError`.
    """
    to = destination(settings, gateway)
    if to is None:
        return None
    client = Subscribers(settings, dialer, deadlines, software)
    return AlertService(to, sources, client, settings.state_dir / FILE_NAME, partial(datetime.now, UTC))


def destination(settings: GatewaySettings, gateway: str) -> Destination | None:
    """Return where alerts go, None when they are off; raises `ConfigurationError`."""
    url = settings.alert_url
    if url is None or settings.alert_secret is None:  # settings make sure that there are both or none
        return None
    try:
        check_target(url.get_secret_value(), settings.allow_networks)
    except Unacceptable as problem:
        text = problem.text({problem.field: "the address"})
        raise ConfigurationError(URL, text, "name an address that takes a POST") from None
    return Destination(url, settings.alert_secret, gateway)


async def list_command(alerts: AlertService | None) -> dict[str, Any]:
    """Serve the control socket's `alerts`."""
    return {"on": alerts is not None, "alerts": [] if alerts is None else alerts.book.rows()}


async def test_command(alerts: AlertService | None) -> dict[str, Any]:
    """Serve the control socket's `alerts-test`."""
    if alerts is None:
        return {"ok": False, "status": None, "error": f"alerts are off; set {URL} and JIRA_GATEWAY_ALERT_SECRET"}
    return await alerts.test()
