"""Resources that register webhooks: one API up to 9 (and on Cloud), another from 10 on (docs/facts.md J6)."""

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.fake_jira.delivering import Webhook
from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.permissions import may_globally
from tests.support.fake_jira.routing import JiraError, Routes, Situation, json_body, json_object
from tests.support.fake_jira.views import milliseconds

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

routes = Routes()
OLD, NEW = "/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks"
SECTION = "issue-related-events-section"


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
    _check_target(jira, body)
    new = jira.profile.new_webhooks
    configuration = {str(key): str(value) for key, value in (body.get("configuration") or {}).items()}
    now = milliseconds(jira.store.now())
    known = jira.webhooks.registered.get(number)
    webhook = Webhook(
        id=number,
        name=body["name"],
        url=body["url"],
        events=list(body.get("events") or []),
        jql=_filter_of(jira, body),
        exclude_body=configuration.get("EXCLUDE_BODY") == "true" if new else bool(body.get("excludeBody")),
        enabled=bool(body.get("active" if new else "enabled", True)),
        secret=configuration.get("SECRET") if new else (body.get("secret") if jira.profile.is_cloud else None),
        owner=request.user,
        created_ms=known.created_ms if known else now,
        updated_ms=now,
        configuration=configuration,
    )
    if any(_same(webhook, other) for other in jira.webhooks.registered.values() if other.id != number) and not new:
        raise JiraError(409, "A webhook with the same parameters is already registered")
    jira.webhooks.registered[number] = webhook
    return webhook


def _check_target(jira: "FakeJira", body: dict[str, Any]) -> None:
    """Cloud takes https only; the stand-in excepts loopback, where tests listen."""
    url = str(body.get("url", ""))
    if not body.get("name") or not url.startswith(("http://", "https://")):
        raise JiraError(400, "The webhook needs a name and an http(s) URL")
    if jira.profile.is_cloud and url.startswith("http://") and not _is_loopback(urlsplit(url).hostname or ""):
        raise JiraError(400, "The webhook URL must use https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _filter_of(jira: "FakeJira", body: dict[str, Any]) -> str:
    """10 is given plain JQL or a JSON object keyed by section: sources differ (docs/facts.md J6)."""
    if not jira.profile.new_webhooks:
        return (body.get("filters") or {}).get(SECTION) or ""
    text = str((body.get("configuration") or {}).get("FILTERS") or "")
    if not text.startswith("{"):
        return text
    try:
        return str(json.loads(text).get(SECTION) or "")
    except ValueError:
        raise JiraError(400, "FILTERS is not valid") from None


def _same(one: Webhook, other: Webhook) -> bool:
    return (one.url, set(one.events), one.jql) == (other.url, set(other.events), other.jql)


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


def _new_view(jira: "FakeJira", webhook: Webhook) -> dict[str, Any]:
    shown = json.dumps({SECTION: webhook.jql}) if jira.webhooks.filters_as_json else webhook.jql
    now = {"FILTERS": shown, "EXCLUDE_BODY": str(webhook.exclude_body).lower(), "SECRET": webhook.secret}
    kept = {name: value for name, value in now.items() if name in webhook.configuration or value not in {"", "false"}}
    configuration = {**webhook.configuration, **{name: value for name, value in kept.items() if value is not None}}
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "createdDate": webhook.created_ms,
        "updatedDate": webhook.updated_ms,
        "configuration": configuration,
        "active": webhook.enabled,
        "scopeType": "global",
        "sslVerificationRequired": True,
    }


def _page(jira: "FakeJira", request: Request) -> list[Webhook]:
    event, listed = request.parameter("event"), list(jira.webhooks.registered.values())
    start, count = request.parameter("start"), request.parameter("limit")
    first = int(start) if start.isdigit() else 0
    wanted = [webhook for webhook in listed if not event or event in webhook.events]
    return wanted[first : first + int(count)] if count.isdigit() else wanted[first:]


@routes.add("GET POST", NEW)
async def new_collection(jira: "FakeJira", request: Request) -> Answer:
    refusal = _check(jira, request, new=True)
    if refusal is not None:
        return refusal
    if request.method != "POST":
        return Answer.json([_new_view(jira, webhook) for webhook in _page(jira, request)])
    return Answer.json(_new_view(jira, _store(jira, request, await json_object(request), _next_number(jira))), 201)


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
    return Answer.json(_new_view(jira, webhook))


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
