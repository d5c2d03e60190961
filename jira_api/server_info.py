"""What a Jira says about itself (`GET /rest/api/2/serverInfo`), read defensively.

Some busy servers answer with an empty body (JRA-59676), proxies with HTML: both are `InvalidServerInfo`, never a crash.
Data Center calls itself "Server" too, so the deployment type only tells Cloud from the rest.
"""

import json
from dataclasses import dataclass
from typing import Any

from jira_api.origins import parse_origin

MAX_SERVER_INFO_BYTES = 64 * 1024
MAX_TEXT = 1024  # characters of one field: they are logged, shown and announced


class InvalidServerInfo(Exception):
    """The answer is no serverInfo; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The fields that matter to us; `base_url` has no trailing slash, `version_numbers` is () when unknown."""

    base_url: str
    version: str
    version_numbers: tuple[int, ...]
    deployment_type: str
    title: str

    @property
    def is_cloud(self) -> bool:
        """Whether this is Jira Cloud."""
        return self.deployment_type == "Cloud"


def parse_server_info(body: bytes) -> ServerInfo:
    """Read a serverInfo answer.

    Raises:
        InvalidServerInfo: it is no JSON object with a usable `baseUrl`.
    """
    document = _read_object(body)
    base_url = _text(document, "baseUrl").rstrip("/")
    try:
        parse_origin(base_url.encode())
    except ValueError:
        raise InvalidServerInfo("it names no usable baseUrl") from None
    version = _text(document, "version")
    numbers = _version_numbers(document.get("versionNumbers"), version)
    deployment = _text(document, "deploymentType") or "Server"
    return ServerInfo(base_url, version, numbers, deployment, _text(document, "serverTitle"))


def _read_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise InvalidServerInfo("it is empty")
    if len(body) > MAX_SERVER_INFO_BYTES:
        raise InvalidServerInfo(f"it is larger than {MAX_SERVER_INFO_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidServerInfo("it is no JSON") from None
    if not isinstance(document, dict):
        raise InvalidServerInfo("it is no JSON object")
    return document


def _text(document: dict[str, Any], key: str) -> str:
    """Return a field's text, "" for one that is no line of text: too long, or with what cannot be printed."""
    value = document.get(key)
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= MAX_TEXT and text.isprintable() else ""


def _version_numbers(value: object, version: str) -> tuple[int, ...]:
    """Prefer the list that Jira gives; read the version text when a proxy or an old Jira left it out."""
    if isinstance(value, list) and value and all(type(part) is int for part in value):
        return tuple(value)
    parts = version.partition("-")[0].split(".")
    if all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return tuple(map(int, parts))
    return ()
