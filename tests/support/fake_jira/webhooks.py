"""Webhooks: which registration wants an event, what its delivery looks like, and the senders.

Like Jira: three senders, a queue of 100, overflow dropped and only remembered, no retry on-premise.
"""

import asyncio
import hashlib
import hmac
import json
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit

from tests.support.fake_jira.jql import JqlError
from tests.support.fake_jira.people import User
from tests.support.fake_jira.searching import find_issues
from tests.support.fake_jira.store import Comment, Issue

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

SENDERS, QUEUE_LIMIT, TIMEOUT = 3, 100, 10.0


@dataclass(slots=True, eq=False)
class Webhook:
    """A registration; `body` is what the API shows beside ids and dates."""

    id: int
    name: str
    url: str
    events: list[str]
    jql: str
    exclude_body: bool
    enabled: bool
    secret: str | None
    owner: User
    updated_ms: int
    configuration: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt: `status` None while it runs or when `error` tells why nothing came back."""

    webhook: Webhook
    event: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    status: int | None = None
    error: str | None = None


class Webhooks:
    """The registrations of one stand-in and its senders. `run()` delivers until it is cancelled."""

    def __init__(self, jira: "FakeJira") -> None:
        self._jira = jira
        self.registered: dict[int, Webhook] = {}
        self.deliveries: list[Delivery] = []
        self.dropped = 0
        self.tls: ssl.SSLContext | None = None
        self._queue: deque[Delivery] = deque()
        self._wake = asyncio.Event()

    def publish(self, event: str, user: User | None, payload: dict[str, Any], issue: Issue | None) -> None:
        """Queue one delivery for each webhook that wants the event."""
        for webhook in self.registered.values():
            if not webhook.enabled or event not in webhook.events or not self._matches(webhook, issue):
                continue
            if len(self._queue) >= QUEUE_LIMIT:
                self.dropped += 1
                continue
            delivery = self._compose(webhook, event, user, payload, issue)
            self.deliveries.append(delivery)
            self._queue.append(delivery)
            self._wake.set()

    def _matches(self, webhook: Webhook, issue: Issue | None) -> bool:
        if issue is None or not webhook.jql:
            return True
        try:
            return issue in find_issues(self._jira, self._jira.people.users["admin"], webhook.jql)
        except JqlError:
            return False

    def _compose(
        self, webhook: Webhook, event: str, user: User | None, payload: dict[str, Any], issue: Issue | None
    ) -> Delivery:
        profile = self._jira.profile
        milliseconds = int(self._jira.store.now().timestamp() * 1000)
        body = b""
        if not webhook.exclude_body:
            body = json.dumps({"timestamp": milliseconds, "webhookEvent": event, **payload}).encode()
        url = _fill_variables(webhook.url, "{" if profile.new_webhooks else "${", issue)
        if profile.webhook_appends_user and user is not None:
            joint = "&" if "?" in url else "?"
            url += f"{joint}user_id={quote_plus(user.name)}&user_key={quote_plus(self._jira.views.user_key(user))}"
        agent = f"Atlassian HttpClient1.1.0 / JIRA-{profile.version} ({profile.build_number}) / Default"
        headers = [
            ("User-Agent", "Atlassian Webhook HTTP Client" if profile.is_cloud else agent),
            ("Content-Type", "application/json; charset=UTF-8"),
            ("Accept", "*/*"),
        ]
        if profile.is_cloud:
            identifier = hashlib.sha256(b"%d-%d" % (webhook.id, len(self.deliveries))).hexdigest()[:32]
            headers += [("X-Atlassian-Webhook-Identifier", identifier), ("X-Atlassian-Webhook-Flow", "Primary")]
        if webhook.secret and profile.webhook_signature:
            headers.append(("X-Hub-Signature", sign(webhook.secret, body)))
        return Delivery(webhook, event, url, headers, body)

    async def run(self) -> None:
        """Send what is queued, at most three at a time."""
        async with asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._send_forever())

    async def _send_forever(self) -> None:
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            delivery = self._queue.popleft()
            try:
                async with asyncio.timeout(TIMEOUT):
                    delivery.status = await _post(delivery, self.tls)
            except (OSError, TimeoutError, ValueError) as error:
                delivery.error = f"{type(error).__name__}: {error}"


def sign(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _fill_variables(url: str, opening: str, issue: Issue | None) -> str:
    if issue is not None:
        values = {"issue.key": issue.key, "issue.id": str(issue.id), "project.key": issue.project.key}
        for name, value in values.items():
            url = url.replace(f"{opening}{name}}}", value)
    return url


async def _post(delivery: Delivery, tls: ssl.SSLContext | None) -> int:
    parts = urlsplit(delivery.url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=(tls or True) if secure else None)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    headers = [("Host", host), *delivery.headers, ("Content-Length", str(len(delivery.body))), ("Connection", "close")]
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    try:
        writer.write(head.encode("latin-1") + delivery.body)
        await writer.drain()
        status_line = await reader.readline()
        return int(status_line.split()[1])
    except IndexError:
        raise ValueError("no answer") from None
    finally:
        writer.transport.abort()


def event_payload(
    jira: "FakeJira", event: str, user: User | None, issue: Issue, comment: Comment | None, event_type: str | None
) -> dict[str, Any]:
    """The body of issue and comment events (docs/facts.md J7.1): a Server comment event has neither issue nor user."""
    payload: dict[str, Any] = {}
    if event.startswith("jira:"):
        if event_type:
            payload["issue_event_type_name"] = event_type
        payload["user"] = jira.views.user(user)
        payload["issue"] = {
            "id": str(issue.id),
            "self": jira.views.rest(str(issue.id) if jira.profile.is_cloud else f"issue/{issue.id}"),
            "key": issue.key,
            "fields": jira.views.fields(issue, user),
        }
    elif event != "comment_created":
        payload["user"] = jira.views.user(user)
    if comment is not None:
        payload["comment"] = jira.views.comment(issue, comment)
    if jira.profile.is_cloud and "issue" not in payload:
        payload["issue"] = jira.views.issue_stub(issue)
    return payload
