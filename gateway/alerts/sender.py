"""Posts notices to the operator's address: signed, in order, tried again until they are taken or too old.

Owns the notices that nobody has taken yet, bounded in number. Goes through the client of subscribers, and so from the
fixed egress address and never to an address that subscribers may not have.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from pydantic import SecretStr

from gateway.alerts.book import Alert, read_alert
from gateway.events.schedule import Attempt
from gateway.events.signing import signed
from http1.messages import Headers

log = structlog.get_logger()

MAX_WAITING: Final = 200
GIVE_UP_AFTER: Final = timedelta(hours=24)
DELAYS: Final = (5.0, 15.0, 60.0, 300.0, 600.0)
"""Seconds after the first failure, the second and so on; the last one again and again."""


class Client(Protocol):
    """Who posts (gateway.events.subscribers.Subscribers)."""

    async def send(self, url: str, headers: Headers, body: bytes) -> Attempt:
        """POST a JSON body once; whatever goes wrong is in what is returned."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where alerts go, who signs them, and what the gateway calls itself there."""

    url: SecretStr
    secret: SecretStr
    gateway: str


class AlertSender:
    """The queue of notices; `changed` is called whenever it changes."""

    def __init__(
        self, to: Destination, client: Client, clock: Callable[[], datetime], changed: Callable[[], None]
    ) -> None:
        self._to = to
        self._client = client
        self._clock = clock
        self._changed = changed
        self._waiting: deque[Alert] = deque()
        self._arrived = asyncio.Event()
        self.sent = 0
        self.failed = 0
        self.given_up = 0
        self.last_error: str | None = None

    def __repr__(self) -> str:
        return f"<AlertSender waiting={len(self._waiting)} sent={self.sent} failed={self.failed}>"

    @property
    def waiting(self) -> int:
        """How many notices nobody has taken yet."""
        return len(self._waiting)

    def add(self, alert: Alert) -> None:
        """Queue a notice; the oldest goes when there are too many."""
        if len(self._waiting) >= MAX_WAITING:
            self._drop(self._waiting[0], "there are too many of them")
        self._waiting.append(alert)
        self._arrived.set()
        self._changed()

    def rows(self) -> list[dict[str, Any]]:
        """Return the queue for the next start."""
        return [alert.row for alert in self._waiting]

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Take up the queue of the last stop; raises KeyError, TypeError, ValueError."""
        self._waiting.extend(read_alert(row) for row in rows[-MAX_WAITING:])
        self._arrived.set()

    async def run(self) -> None:
        """Post what is queued until cancelled."""
        failures = 0
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()  # no deadline: there is nothing to tell
            alert = self._waiting[0]
            attempt = await self.post(alert)
            if self._waiting and self._waiting[0] is alert:
                failures = self._judge(alert, attempt, failures)
            if failures:
                await asyncio.sleep(DELAYS[min(failures, len(DELAYS)) - 1])

    async def post(self, alert: Alert | None) -> Attempt:
        """Post one notice once (None: a test), and say what came of it."""
        now = self._clock()
        document = describe(alert, self._to.gateway, now)
        body = json.dumps(document).encode()
        headers = signed(str(document["data"]["notice"]), now, body, [self._to.secret])
        return await self._client.send(self._to.url.get_secret_value(), headers, body)

    def _judge(self, alert: Alert, attempt: Attempt, failures: int) -> int:
        """Take note of an attempt, and return how many in a row have failed."""
        self.last_error = attempt.error
        if attempt.is_success:
            self.sent += 1
            self._waiting.popleft()
            self._changed()
            return 0
        self.failed += 1
        if not failures:
            log.warning("alert_failed", alert=alert.id, reason=attempt.error, consequence="it is tried again")
        if self._clock() - (alert.resolved_at or alert.opened_at) > GIVE_UP_AFTER:
            self._drop(alert, attempt.error or "")
        return failures + 1

    def _drop(self, alert: Alert, reason: str) -> None:
        self.given_up += 1
        self._waiting.remove(alert)
        log.error("alert_given_up", alert=alert.id, reason=reason)
        self._changed()


def describe(alert: Alert | None, gateway: str, now: datetime) -> dict[str, Any]:
    """Return the document of a notice (docs/alert.schema.json); of a test without an alert."""
    if alert is None:
        data: dict[str, Any] = {"notice": f"test-{int(now.timestamp() * 1000):x}", "gateway": gateway}
        return {"type": "alert.test", "timestamp": now.isoformat(timespec="milliseconds"), "data": data}
    state = "firing" if alert.resolved_at is None else "resolved"
    data = {"notice": f"{alert.id}-{state}", "gateway": gateway, **alert.row}
    return {"type": f"alert.{state}", "timestamp": now.isoformat(timespec="milliseconds"), "data": data}
