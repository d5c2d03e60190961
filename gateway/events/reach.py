"""Where a Jira can post webhooks: at its agent in its own network, or at the gateway. Pure."""

import ipaddress
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.directory import ConnectionEntry
from gateway.store import Way
from jira_api.server_info import ServerInfo

_LOCAL_NAME: Final = "localhost"


class Reach(NamedTuple):
    """The base URLs for webhooks by way, and for each way that there is none why not."""

    urls: dict[Way, str]
    no_way: dict[Way, str]


def reach(entry: ConnectionEntry, told: Mapping[bytes, bytes], public_url: str, server: ServerInfo | None) -> Reach:
    """Return what this Jira can reach; `told` is what its agent announced, or what is known of a direct one."""
    found = Reach({}, {})
    lan = told.get(b"webhook-url", b"").decode("ascii", "replace").rstrip("/")
    if entry.agent is None:
        found.no_way[Way.LAN] = "it has no agent"
    elif lan:
        found.urls[Way.LAN] = lan
    else:
        found.no_way[Way.LAN] = f"agent {entry.agent} does not listen for them (JIRA_AGENT_WEBHOOK_LISTEN)"
    jira = entry.base_url or told.get(b"jira-url", b"").decode("ascii", "replace")
    objection = _objection(public_url, jira, server)
    if objection is None:
        found.urls[Way.INTERNET] = public_url.rstrip("/")
    else:
        found.no_way[Way.INTERNET] = objection
    return found


def _objection(public_url: str, jira: str, server: ServerInfo | None) -> str | None:
    """Return why a Jira cannot post to the gateway, as far as the addresses tell."""
    parts = urlsplit(public_url)
    if is_loopback(parts.hostname):
        there = urlsplit(jira).hostname
        return (
            None if is_loopback(there) else f"{public_url} is an address of this machine only (JIRA_GATEWAY_PUBLIC_URL)"
        )
    if server is not None and server.is_cloud and parts.scheme != "https":
        return f"Cloud posts to https only, and JIRA_GATEWAY_PUBLIC_URL is {public_url}"
    return None


def is_loopback(host: str | None) -> bool:
    """Say whether a host of a URL is this machine."""
    if host is None:
        return False
    if host == _LOCAL_NAME or host.endswith(f".{_LOCAL_NAME}"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
