"""Commands of the control port about webhooks: what is registered, what was delivered, and how the senders behave."""

import ssl
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.delivering import Delivery, Webhook

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

WEBHOOK_SETTINGS = {
    "webhooks_lost": "lost",
    "webhooks_paused": "paused",
    "webhook_senders": "senders",
    "webhook_queue_limit": "queue_limit",
    "webhook_retry_pause": "retry_pause",
    "webhook_retries": "retries",
    "webhook_timeout": "timeout",
    "webhook_filters_small_events": "filters_small_events",
    "webhook_filters_as_json": "filters_as_json",
    "webhook_kept_bodies": "kept_bodies",
    "webhook_ca": "tls",
}
DEFAULT_LIMIT = 1_000


def change_webhook_setting(jira: "FakeJira", name: str, value: Any) -> None:
    """`webhook_ca` is a PEM file: the CA that deliveries trust."""
    if name == "webhook_ca":
        value = ssl.create_default_context(cafile=value)
    setattr(jira.webhooks, WEBHOOK_SETTINGS[name], value)


def _webhook(jira: "FakeJira", arguments: dict[str, Any]) -> Webhook:
    return jira.webhooks.registered[int(arguments["id"])]


def _view(webhook: Webhook) -> dict[str, Any]:
    names = ("id", "name", "url", "events", "jql", "exclude_body", "enabled", "secret", "created_ms", "updated_ms")
    return {name: getattr(webhook, name) for name in names} | {"owner": webhook.owner.name}


def _webhooks(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    return [_view(webhook) for webhook in jira.webhooks.registered.values()]


def _change_webhook(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    """As somebody in the administration console would: `id` and name, url, events, jql, exclude_body, enabled, secret."""
    webhook = _webhook(jira, arguments)
    jira.change_webhook(webhook.id, **{name: value for name, value in arguments.items() if name != "id"})
    return _view(webhook)


def _remove_webhook(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    jira.remove_webhook(_webhook(jira, arguments).id)
    return {}


def _deliveries(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    """From number `after` (each has one, from 1) on, at most `limit`, without bodies if `body` is false.

    Only the counts if `count` is true.
    """
    if arguments.get("count"):
        return _delivery_counts(jira, arguments)
    after, limit = arguments.get("after", 0), arguments.get("limit", DEFAULT_LIMIT)
    wanted: Iterable[Delivery] = (d for d in jira.webhooks.deliveries if d.number > after)
    return [delivery.to_json(body=arguments.get("body", True)) for delivery in islice(wanted, limit)]


def _delivery_counts(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    """`queued`, `dropped`, `lost`, `retried`, `error`, each status seen, `pending` and `sockets` opened."""
    webhooks = jira.webhooks
    zero = dict.fromkeys(("queued", "dropped", "lost", "retried", "error"), 0)
    return {**zero, **webhooks.counts, "pending": webhooks.pending, "sockets": webhooks.sockets.opened}


WEBHOOKS = {
    "webhooks": _webhooks,
    "change_webhook": _change_webhook,
    "remove_webhook": _remove_webhook,
    "deliveries": _deliveries,
    "delivery_counts": _delivery_counts,
}
