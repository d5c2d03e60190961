"""Webhooks: the two registration APIs (7-9 and 10), which events match, and the delivery to subscribers.

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

from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.jql import JqlError
from tests.support.fake_jira.people import User
from tests.support.fake_jira.permissions import may_globally
from tests.support.fake_jira.routing import JiraError, Routes, Situation, json_body, json_object
from tests.support.fake_jira.searching import find_issues
from tests.support.fake_jira.store import Comment, Issue

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
OLD, NEW = "/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks"
SECTION = "issue-related-events-section"
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
    """The body of issue and comment events (jira-facts 7.1): a Server comment event has neither issue nor user."""
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


# -- registration, 7.x to 9.x and Cloud


def _check(jira: "FakeJira", request: Request, *, new: bool) -> Answer | None:
    if jira.profile.new_webhooks != new:
        return jira.not_found(request)
    if not may_globally(request.user, "ADMINISTER"):
        raise Situation("webhook-register-not-admin")
    return None


def _find(jira: "FakeJira", number: str) -> Webhook:
    webhook = jira.webhooks.registered.get(int(number) if number.isdigit() else 0)
    if webhook is None:
        raise JiraError(404, f"Webhook {number} does not exist")
    return webhook


def _store(jira: "FakeJira", request: Request, body: dict[str, Any], number: int) -> Webhook:
    """Unknown properties are ignored, which is the trap of `jqlFilter` and of a top-level `secret` on 10."""
    if not body.get("name") or not str(body.get("url", "")).startswith(("http://", "https://")):
        raise JiraError(400, "The webhook needs a name and an http(s) URL")
    new = jira.profile.new_webhooks
    configuration = {str(key): str(value) for key, value in (body.get("configuration") or {}).items()}
    webhook = Webhook(
        id=number,
        name=body["name"],
        url=body["url"],
        events=list(body.get("events") or []),
        jql=configuration.get("FILTERS", "") if new else (body.get("filters") or {}).get(SECTION, ""),
        exclude_body=configuration.get("EXCLUDE_BODY") == "true" if new else bool(body.get("excludeBody")),
        enabled=bool(body.get("active" if new else "enabled", True)),
        secret=configuration.get("SECRET") if new else (body.get("secret") if jira.profile.is_cloud else None),
        owner=request.user,
        updated_ms=int(jira.store.now().timestamp() * 1000),
        configuration=configuration,
    )
    jira.webhooks.registered[number] = webhook
    return webhook


def _next_number(jira: "FakeJira") -> int:
    return max(jira.webhooks.registered, default=0) + 1


def _old_view(jira: "FakeJira", request: Request, webhook: Webhook) -> dict[str, Any]:
    scheme = "https" if jira.tls else "http"
    origin = f"{scheme}://{request.header('Host') or ''}{jira.context}"  # built from the request, not the base URL
    return {
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "filters": {SECTION: webhook.jql},
        "excludeBody": webhook.exclude_body,
        "enabled": webhook.enabled,
        "self": f"{origin}{OLD}/{webhook.id}",
        "lastUpdated": webhook.updated_ms,
        "lastUpdatedUser": jira.views.user_key(webhook.owner),
        "lastUpdatedDisplayName": webhook.owner.display_name,
    }


@routes.add("GET POST", OLD)
async def old_collection(jira: "FakeJira", request: Request) -> Answer:
    refusal = _check(jira, request, new=False)
    if refusal is not None:
        return refusal
    if request.method != "POST":
        return Answer.json([_old_view(jira, request, webhook) for webhook in jira.webhooks.registered.values()])
    body = await json_object(request)
    duplicate = (body.get("url"), body.get("events"), (body.get("filters") or {}).get(SECTION, ""))
    if any((w.url, w.events, w.jql) == duplicate for w in jira.webhooks.registered.values()):
        raise JiraError(409, "A webhook with the same parameters is already registered")
    view = _old_view(jira, request, _store(jira, request, body, _next_number(jira)))
    return Answer.json(view, 201, [("Location", view["self"])])


@routes.add("GET PUT DELETE", OLD + "/{number}")
async def old_single(jira: "FakeJira", request: Request, number: str) -> Answer:
    refusal = _check(jira, request, new=False)
    if refusal is not None:
        return refusal
    webhook = _find(jira, number)
    if request.method == "DELETE":
        del jira.webhooks.registered[webhook.id]
        return Answer.empty()
    if request.method == "PUT":
        webhook = _store(jira, request, await json_object(request), webhook.id)
    return Answer.json(_old_view(jira, request, webhook))


@routes.add("PUT", OLD + "/{number}/enabled")
async def old_enabled(jira: "FakeJira", request: Request, number: str) -> Answer:
    refusal = _check(jira, request, new=False)
    if refusal is not None:
        return refusal
    webhook = _find(jira, number)
    webhook.enabled = bool(await json_body(request))
    return Answer.json(webhook.enabled)


# -- registration, 10 and later


def _new_view(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "createdDate": webhook.updated_ms,
        "updatedDate": webhook.updated_ms,
        "configuration": webhook.configuration,
        "active": webhook.enabled,
        "scopeType": "global",
        "sslVerificationRequired": True,
    }


@routes.add("GET POST", NEW)
async def new_collection(jira: "FakeJira", request: Request) -> Answer:
    refusal = _check(jira, request, new=True)
    if refusal is not None:
        return refusal
    if request.method != "POST":
        return Answer.json([_new_view(webhook) for webhook in jira.webhooks.registered.values()])
    return Answer.json(_new_view(_store(jira, request, await json_object(request), _next_number(jira))), 201)


@routes.add("GET PUT DELETE", NEW + "/{number}")
async def new_single(jira: "FakeJira", request: Request, number: str) -> Answer:
    refusal = _check(jira, request, new=True)
    if refusal is not None:
        return refusal
    webhook = _find(jira, number)
    if request.method == "DELETE":
        del jira.webhooks.registered[webhook.id]
        return Answer.empty()
    if request.method == "PUT":
        webhook = _store(jira, request, await json_object(request), webhook.id)
    return Answer.json(_new_view(webhook))


@routes.add("GET", NEW + "/{number}/statistics")
async def new_statistics(jira: "FakeJira", request: Request, number: str) -> Answer:
    refusal = _check(jira, request, new=True)
    if refusal is not None:
        return refusal
    webhook = _find(jira, number)
    mine = [delivery for delivery in jira.webhooks.deliveries if delivery.webhook is webhook]
    good = sum(1 for delivery in mine if delivery.status is not None and delivery.status < 400)
    errors = sum(1 for delivery in mine if delivery.error)
    window = {"start": webhook.updated_ms, "duration": 86_400_000}
    counts = {"errors": errors, "failures": len(mine) - good - errors, "successes": good, "window": window}
    return Answer.json({"counts": counts})


@routes.add("GET", NEW + "/{number}/latest")
async def new_latest(jira: "FakeJira", request: Request, number: str) -> Answer:
    refusal = _check(jira, request, new=True)
    if refusal is not None:
        return refusal
    webhook = _find(jira, number)
    last = next((d for d in reversed(jira.webhooks.deliveries) if d.webhook is webhook and d.status), None)
    return Answer.json({"id": str(id(last)), "event": last.event, "status": last.status}) if last else Answer.empty()
