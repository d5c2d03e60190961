"""The queue of deliveries, the senders and the record of what became of each. Knows nothing of events.

Like Jira: three senders, a queue of 100, overflow dropped and only counted, no retry on-premise.
"""

import asyncio
import ssl
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.support.fake_jira.posting import Sockets

RETRIED = frozenset({408, 409, 425, 429})
KEPT, KEPT_BODIES = 100_000, 5_000


@dataclass(slots=True, eq=False)
class Webhook:
    """A registration; what the API shows of it is webhook_resources.py."""

    id: int
    name: str
    url: str
    events: list[str]
    jql: str
    exclude_body: bool
    enabled: bool
    secret: str | None
    owner: Any  # the account that registered it
    created_ms: int
    updated_ms: int
    configuration: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt: `status` None while it waits or runs, or when `error` tells why nothing came back.

    `subject` and `occurrence` say what it is about, `timestamp` is the event's; the other times are the machine's, in seconds
    since 1970. `retry` counts from 0. The body is dropped once it is old, `size` stays.
    """

    webhook: Webhook
    event: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    subject: dict[str, str] = field(default_factory=dict)
    timestamp: int = 0
    occurrence: str = ""
    identifier: str | None = None
    retry: int = 0
    number: int = 0
    size: int = 0
    queued_at: float = 0.0
    sent_at: float | None = None
    answered_at: float | None = None
    socket: int | None = None
    status: int | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether this attempt is over."""
        return self.status is not None or self.error is not None

    def to_json(self, *, body: bool = True) -> dict[str, Any]:
        """For the control port."""
        names = ("event", "url", "status", "error", "subject", "timestamp", "occurrence", "identifier", "retry", "number", "size",
                 "queued_at", "sent_at", "answered_at", "socket")  # fmt: skip
        view = {name: getattr(self, name) for name in names} | {"webhook": self.webhook.id}
        return {**view, "headers": self.headers, "body": self.body.decode()} if body else view


class Deliveries:
    """`run()` delivers what `queue()` was given until it is cancelled. All attributes may be changed meanwhile.

    `lost` silently delivers nothing, as a full queue does; `paused` leaves everything in the queue.
    """

    def __init__(self, *, retries: int, queue_limit: int) -> None:
        self.retries = retries
        self.retry_pause = 0.2  # seconds; a real Cloud waits 5 to 15 minutes
        self.queue_limit = queue_limit
        self.timeout = 10.0
        self.tls: ssl.SSLContext | None = None
        self.lost = False
        self.kept_bodies = KEPT_BODIES
        self.deliveries: deque[Delivery] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()  # queued, dropped, lost, retried, error, and each status
        self.sockets = Sockets()
        self._senders = 3
        self._started = 0
        self._paused = False
        self._busy = 0
        self._waiting = 0  # for their next attempt
        self._queue: deque[Delivery] = deque()
        self._finished: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None

    @property
    def dropped(self) -> int:
        """How many found the queue full."""
        return self.counts["dropped"]

    @property
    def pending(self) -> int:
        """Deliveries that wait, run or will be tried again."""
        return len(self._queue) + self._busy + self._waiting

    @property
    def senders(self) -> int:
        """How many deliveries run at once."""
        return self._senders

    @senders.setter
    def senders(self, count: int) -> None:
        self._senders = count
        self._hire()
        self._wake.set()

    @property
    def paused(self) -> bool:
        """Whether the senders rest."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._wake.set()

    def queue(self, delivery: Delivery) -> None:
        """Take it, unless the queue is full."""
        if self.lost or len(self._queue) >= self.queue_limit:
            self.counts["lost" if self.lost else "dropped"] += 1
            return
        self.counts["queued"] += 1
        delivery.number, delivery.size, delivery.queued_at = self.counts["queued"], len(delivery.body), _now()
        self.deliveries.append(delivery)
        self._queue.append(delivery)
        self._wake.set()

    async def run(self) -> None:
        """Send what is queued, `senders` at a time."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._hire()
                await asyncio.Event().wait()
        finally:
            self._group = None
            self.sockets.close()

    def _hire(self) -> None:
        while self._group is not None and self._started < self._senders:
            self._group.create_task(self._send_forever(self._started))
            self._started += 1

    async def _send_forever(self, number: int) -> None:
        while True:
            while not self._queue or self._paused or number >= self._senders:
                self._wake.clear()
                await self._wake.wait()
            self._busy += 1
            try:
                await self._send(self._queue.popleft())
            finally:
                self._busy -= 1

    async def _send(self, delivery: Delivery) -> None:
        delivery.sent_at = _now()
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self.sockets.post(delivery.url, delivery.headers, delivery.body, self.tls)
                delivery.status, delivery.socket = answer
        except (OSError, TimeoutError, ValueError, IndexError, EOFError, asyncio.LimitOverrunError) as error:
            delivery.error = f"{type(error).__name__}: {error}"
        delivery.answered_at = _now()
        self.counts["error" if delivery.status is None else str(delivery.status)] += 1
        self._repeat(delivery)
        self._finished.append(delivery)
        if len(self._finished) > self.kept_bodies:
            self._finished.popleft().body = b""

    def _repeat(self, delivery: Delivery) -> None:
        """Cloud tries again what failed in a way that may pass."""
        status = delivery.status
        passing = status is None or status in RETRIED or status >= 500
        if not passing or delivery.retry >= self.retries:
            return
        again = replace(delivery, retry=delivery.retry + 1, status=None, error=None, sent_at=None, answered_at=None)
        kept = [pair for pair in delivery.headers if pair[0] != "X-Atlassian-Webhook-Retry"]
        again.headers = [*kept, ("X-Atlassian-Webhook-Retry", str(again.retry))]
        again.socket = None
        self._waiting += 1
        asyncio.get_running_loop().call_later(self.retry_pause, self._queue_again, again)

    def _queue_again(self, delivery: Delivery) -> None:
        self._waiting -= 1
        self.counts["retried"] += 1
        self.queue(delivery)


def _now() -> float:
    return datetime.now(UTC).timestamp()
