"""The registration of webhooks in Jira: the requests, what Jira lists, how it differs from what is wanted, the clicks.

There are two APIs (docs/facts.md J6). Both ignore properties that they do not know, so what was sent proves nothing:
read the webhook back and look at `differences`. A webhook's URL is a secret here, as it holds an unguessable id.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from jira_api.events.fields import UNKNOWN, event_name, identifier, label, load_json, member
from jira_api.events.names import KNOWN_EVENTS
from jira_api.events.requesting import JiraRequest, get, send
from jira_api.server_info import ServerInfo

MAX_WEBHOOK_BYTES: Final = 256 * 1024
MAX_LIST_BYTES: Final = 4 * 1024 * 1024
MAX_WEBHOOKS: Final = 1000
_MAX_EVENTS: Final = 200
_MAX_URL: Final = 8192
_MAX_JQL: Final = 16 * 1024

_CLASSIC: Final = "/rest/webhooks/1.0/webhook"
_MODERN: Final = "/rest/jira-webhook/1.0/webhooks"
_FIRST_MODERN: Final = (10,)
_SECTION: Final = "issue-related-events-section"
_REMOTE_ID: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_CONSOLE: Final = "/plugins/servlet/webhooks"


class InvalidWebhook(Exception):
    """What Jira answered is no webhook, or no list of them; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WantedWebhook:
    """A webhook as it should be; without `jql` it fires for every issue."""

    name: str
    url: str = field(repr=False)
    events: frozenset[str]
    jql: str | None
    secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SeenWebhook:
    """A webhook as Jira lists it; `remote_id` is Jira's number for it."""

    remote_id: str
    name: str
    url: str = field(repr=False)
    events: frozenset[str]
    jql: str | None
    enabled: bool
    excludes_body: bool


@dataclass(frozen=True, slots=True)
class WebhookApi:
    """One of the two APIs; `signs` tells whether webhooks can have a secret that signs what they send."""

    is_modern: bool
    signs: bool

    @property
    def path(self) -> str:
        """The path of the collection below Jira's base URL."""
        return _MODERN if self.is_modern else _CLASSIC

    def list_request(self) -> JiraRequest:
        """Ask for all webhooks."""
        return get(f"{_MODERN}?start=0&limit={MAX_WEBHOOKS}" if self.is_modern else _CLASSIC)

    def create_request(self, wanted: WantedWebhook) -> JiraRequest:
        """Register a webhook."""
        return send(b"POST", self.path, self._document(wanted))

    def update_request(self, remote_id: str, wanted: WantedWebhook) -> JiraRequest:
        """Make a webhook what it should be; raises InvalidWebhook for what is no number of one."""
        return send(b"PUT", self._single(remote_id), self._document(wanted))

    def delete_request(self, remote_id: str) -> JiraRequest:
        """Remove a webhook; raises InvalidWebhook for what is no number of one."""
        return JiraRequest(b"DELETE", self._single(remote_id).encode())

    def read(self, body: bytes) -> SeenWebhook:
        """Read one webhook, as it is answered to its creation.

        Raises:
            InvalidWebhook: it is none.
        """
        document = _load(body, MAX_WEBHOOK_BYTES)
        if not isinstance(document, dict):
            raise InvalidWebhook("it is no JSON object")
        return self._read_entry(document)

    def read_list(self, body: bytes) -> list[SeenWebhook]:
        """Read all webhooks; entries that cannot be read are left out.

        Raises:
            InvalidWebhook: it is no list.
        """
        document = _load(body, MAX_LIST_BYTES)
        if isinstance(document, dict):
            document = document.get("values")  # the form of paged lists in newer REST APIs of Atlassian
        if not isinstance(document, list):
            raise InvalidWebhook("it is no list")
        return list(self._read_entries(document[:MAX_WEBHOOKS]))

    def _single(self, remote_id: str) -> str:
        if not _REMOTE_ID.fullmatch(remote_id):
            raise InvalidWebhook("its id is no number")
        return f"{self.path}/{remote_id}"

    def _document(self, wanted: WantedWebhook) -> dict[str, Any]:
        document: dict[str, Any] = {"name": wanted.name, "url": wanted.url, "events": sorted(wanted.events)}
        secret = {"secret": wanted.secret} if self.signs and wanted.secret is not None else {}
        if not self.is_modern:
            filters = {_SECTION: wanted.jql or ""}
            return {**document, "filters": filters, "excludeBody": False, "enabled": True, **secret}
        configuration = {"EXCLUDE_BODY": "false"}
        if wanted.jql:
            configuration["FILTERS"] = wanted.jql
        if secret:  # a `secret` beside the configuration is ignored without a word
            configuration["SECRET"] = secret["secret"]
        return {
            **document,
            "active": True,
            "scopeType": "global",
            "configuration": configuration,
            "sslVerificationRequired": True,
        }

    def _read_entries(self, entries: list[Any]) -> Iterator[SeenWebhook]:
        for entry in entries:
            if isinstance(entry, dict):
                try:
                    yield self._read_entry(entry)
                except InvalidWebhook:
                    continue

    def _read_entry(self, entry: dict[str, Any]) -> SeenWebhook:
        remote_id, url, events = _remote_id(entry), entry.get("url"), entry.get("events")
        if remote_id is None:
            raise InvalidWebhook("it has no id")
        if not isinstance(url, str) or not 0 < len(url) <= _MAX_URL or not url.isprintable():
            raise InvalidWebhook("it has no url")
        names = map(event_name, events[:_MAX_EVENTS]) if isinstance(events, list) else ()
        if self.is_modern:
            configuration = member(entry, "configuration") or {}
            filters, excludes, enabled = configuration.get("FILTERS"), configuration.get("EXCLUDE_BODY"), "active"
        else:
            filters, excludes, enabled = entry.get("filters"), entry.get("excludeBody"), "enabled"
        return SeenWebhook(
            remote_id=remote_id,
            name=label(entry.get("name")) or "",
            url=url,
            events=frozenset(names) - {UNKNOWN},
            jql=_read_filter(filters),
            enabled=entry.get(enabled) is not False,
            excludes_body=str(excludes).lower() == "true",
        )


def api_of(server: ServerInfo) -> WebhookApi:
    """Return the API that this Jira has."""
    is_modern = not server.is_cloud and server.version_numbers >= _FIRST_MODERN
    return WebhookApi(is_modern=is_modern, signs=is_modern or server.is_cloud)


def _load(body: bytes, limit: int) -> Any:
    if len(body) > limit:
        raise InvalidWebhook(f"it is larger than {limit} bytes")
    try:
        return load_json(body)
    except ValueError:
        raise InvalidWebhook("it is no JSON") from None


def _remote_id(entry: dict[str, Any]) -> str | None:
    """Return Jira's number for a webhook, which the older API says in the link to it only."""
    found = identifier(entry.get("id"))
    link = entry.get("self")
    if found is None and isinstance(link, str):
        found = link[-64:].rstrip("/").rpartition("/")[2]
    return found if found and _REMOTE_ID.fullmatch(found) else None


def _read_filter(value: object) -> str | None:
    """Return the JQL: a text, or held by section, as an object or as the JSON text of one."""
    if isinstance(value, str) and value.lstrip().startswith("{"):  # no JQL starts with a brace
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, dict):
        value = value.get(_SECTION)
    if not isinstance(value, str) or not value.strip():
        return None
    return value[:_MAX_JQL].encode("utf-8", "replace").decode().strip()


def differences(wanted: WantedWebhook, seen: SeenWebhook) -> list[str]:
    """Return in words what has to be repaired, nothing when all is as wanted. The secret cannot be compared."""
    found = []
    if seen.url != wanted.url:
        found.append(f"its url is another one{_at(seen.url)}")
    if seen.events != wanted.events:
        found.append(f"its events are {', '.join(sorted(seen.events)) or 'none'}")
    if (seen.jql or "") != (wanted.jql or "").strip():
        found.append(f"its filter is {seen.jql}" if seen.jql else "its filter is empty: it fires for every issue")
    if not seen.enabled:
        found.append("it is switched off")
    if seen.excludes_body:
        found.append("it sends no body")
    return found


def _at(url: str) -> str:
    """Say where a URL leads without what is secret of it."""
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return f" at {host}" if host else ""


def manual_steps(server: ServerInfo | None, wanted: WantedWebhook) -> list[str]:
    """Return the clicks with which an administrator makes the webhook in Jira's console, one step each."""
    address = f"{server.base_url}{_CONSOLE}" if server else f"{_CONSOLE} below Jira's base URL"
    steps = [
        f"Log in to Jira as an administrator and open {address} (in the menu: {_menu(server)}).",
        'Click "Create a WebHook".',
        f'Name: {wanted.name}. Status: "Enabled".',
        f"URL: {wanted.url}",
    ]
    if wanted.secret is not None and (server is None or api_of(server).signs):
        where = "Secret" if server else "Secret (Jira 10 and later, and Cloud; older ones have no such field)"
        steps.append(f"{where}: {wanted.secret}")
    steps += _event_steps(wanted)
    steps.append('Leave "Exclude body" unticked: the events are read from the body.')
    steps.append('Click "Create".')
    return steps


def _menu(server: ServerInfo | None) -> str:
    if server is not None and server.is_cloud:
        return "the cog, System, under Advanced: WebHooks"
    return "the cog (Administration), System, under Advanced: WebHooks"


def _event_steps(wanted: WantedWebhook) -> Iterator[str]:
    """Name the check boxes by the console's sections, and the filter, which belongs to the first of them."""
    if wanted.jql:
        yield f'In the JQL field of "Issue related events": {wanted.jql}'
    else:
        yield 'Leave the JQL field of "Issue related events" empty.'
    sections: dict[str, dict[str, list[str]]] = {}
    for name, kind in KNOWN_EVENTS.items():
        if name in wanted.events:
            sections.setdefault(kind.section, {}).setdefault(kind.group, []).append(kind.box)
    for section, groups in sections.items():
        boxes = "; ".join(f"{group + ': ' if group else ''}{', '.join(boxes)}" for group, boxes in groups.items())
        yield f'Under "{section}" tick {boxes}. Leave the others unticked.'
