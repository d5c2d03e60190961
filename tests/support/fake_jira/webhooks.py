"""Webhooks: which registration wants an event and what its delivery looks like. delivering.py sends it."""

import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from tests.support.fake_jira.delivering import Deliveries, Delivery, Webhook
from tests.support.fake_jira.event_bodies import Event, body_of, occurrence_of
from tests.support.fake_jira.jql import JqlError, Query
from tests.support.fake_jira.searching import parse
from tests.support.fake_jira.store import Issue
from tests.support.fake_jira.views import milliseconds

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

QUEUE_LIMIT, CLOUD_QUEUE_LIMIT, CLOUD_RETRIES = 100, 10_000, 5
TIME_IN_JQL = re.compile(r"created|updated|now|startofday", re.IGNORECASE)


class Webhooks(Deliveries):
    """The registrations of one stand-in.

    `filters_small_events` says whether JQL also narrows comment and worklog events, which 7 to 9 do not do reliably.
    `filters_as_json` makes 10 show FILTERS as a JSON object keyed by section instead of plain JQL.
    """

    def __init__(self, jira: "FakeJira") -> None:
        cloud = jira.profile.is_cloud
        super().__init__(retries=CLOUD_RETRIES if cloud else 0, queue_limit=CLOUD_QUEUE_LIMIT if cloud else QUEUE_LIMIT)
        self._jira = jira
        self.registered: dict[int, Webhook] = {}
        self.filters_small_events = cloud or jira.profile.major >= 10
        self.filters_as_json = False
        self._queries: dict[str, Query] = {}

    def publish(self, event: Event) -> None:
        """Queue one delivery for each webhook that wants the event; all carry the same body and timestamp."""
        wanting = [w for w in self.registered.values() if w.enabled and event.name in w.events]
        wanting = [webhook for webhook in wanting if self._matches(webhook, event)]
        if not wanting:
            return
        timestamp = milliseconds(self._jira.store.now())
        members = {"timestamp": timestamp, "webhookEvent": event.name, **body_of(self._jira, event)}
        body = json.dumps(members, ensure_ascii=False).encode()
        for webhook in wanting:
            delivery = self._compose(webhook, event, b"" if webhook.exclude_body else body)
            delivery.timestamp, delivery.occurrence = timestamp, occurrence_of(event, timestamp)
            self.queue(delivery)

    def _matches(self, webhook: Webhook, event: Event) -> bool:
        small = event.name.startswith(("comment_", "worklog_"))
        if event.issue is None or not webhook.jql or (small and not self.filters_small_events):
            return True
        try:
            return self._query(webhook.jql).test(event.issue)
        except JqlError:
            return False

    def _query(self, jql: str) -> Query:
        """Parsed once, unless its meaning changes with time."""
        if jql not in self._queries or TIME_IN_JQL.search(jql):
            self._queries[jql] = parse(self._jira, self._jira.people.users["admin"], jql)
        return self._queries[jql]

    def _compose(self, webhook: Webhook, event: Event, body: bytes) -> Delivery:
        profile, user = self._jira.profile, event.user
        url = _fill_variables(webhook.url, "{" if profile.new_webhooks else "${", event.issue)
        if profile.webhook_appends_user and user is not None:
            joint = "&" if "?" in url else "?"
            url += f"{joint}user_id={quote_plus(user.name)}&user_key={quote_plus(self._jira.views.user_key(user))}"
        headers = self._headers()
        identifier = None
        if profile.is_cloud:
            seed = f"{webhook.id}-{self.counts['queued']}-{webhook.created_ms}"
            identifier = hashlib.sha256(seed.encode()).hexdigest()[:32]
            headers += [("X-Atlassian-Webhook-Identifier", identifier), ("X-Atlassian-Webhook-Flow", "Primary")]
        if webhook.secret and profile.webhook_signature:
            headers.append(("X-Hub-Signature", sign(webhook.secret, body)))
        return Delivery(webhook, event.name, url, headers, body, event.subject(), identifier=identifier)

    def _headers(self) -> list[tuple[str, str]]:
        profile = self._jira.profile
        agent = f"Atlassian HttpClient1.1.0 / JIRA-{profile.version} ({profile.build_number}) / Default"
        headers = [
            ("User-Agent", "Atlassian Webhook HTTP Client" if profile.is_cloud else agent),
            ("Content-Type", "application/json; charset=UTF-8"),
            ("Accept", "*/*"),
        ]
        return [*headers, ("Accept-Encoding", "gzip,deflate")] if profile.is_cloud else headers


def sign(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _fill_variables(url: str, opening: str, issue: Issue | None) -> str:
    if issue is not None and opening in url:
        values = {"issue.key": issue.key, "issue.id": str(issue.id), "project.key": issue.project.key}
        for name, value in values.items():
            url = url.replace(f"{opening}{name}}}", value)
    return url
