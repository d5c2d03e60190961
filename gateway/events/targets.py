"""Where deliveries go: a subscriber's address, read strictly, and what can be said against it without asking DNS. Pure.

What a name resolves to is judged when it is dialled (gateway.events.subscribers), each time anew.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.settings import IPAddress, Network
from gateway.ssrf import canonical, objection
from gateway.unacceptable import Unacceptable, literally

FIELD: Final = "deliver_to"
MAX_URL: Final = 2000

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#\\\s]*)?(?P<query>\?[^#\\\s]*)?",
    re.ASCII | re.IGNORECASE,
)
_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK: Final[tuple[IPAddress, ...]] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))


class Place(NamedTuple):
    """A server: what is dialled. `host` is in lower case and without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def host_header(self) -> bytes:
        """What the server is told."""
        bare = f"[{self.host}]" if ":" in self.host else self.host
        return (bare if self.port == _PORTS[self.scheme] else f"{bare}:{self.port}").encode("ascii")


class Target(NamedTuple):
    """A server and what is asked of it: path and query, byte for byte as they were given."""

    place: Place
    path: bytes


@lru_cache(maxsize=1024)
def read_target(url: str) -> Target:
    """Return the parts of a subscriber's address; raises Unacceptable."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable():
        raise Unacceptable(FIELD, f"{{deliver_to}} is longer than {MAX_URL} characters, or not all of them are ASCII")
    if "#" in url or "@" in url.partition("://")[2].partition("?")[0].partition("/")[0]:
        raise Unacceptable(
            FIELD, "{deliver_to} holds a user name or a fragment; a subscriber knows us by the signature"
        )
    found = _URL.fullmatch(url)
    if found is None:
        raise Unacceptable(FIELD, "{deliver_to} is no address: write it as https://ci.example.com/jira")
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise Unacceptable(FIELD, "{deliver_to} has a port that does not exist")
    path = (found["path"] or "/") + (found["query"] or "")
    return Target(Place(scheme, found["host"].strip("[]").lower(), port), path.encode("ascii"))


def check_target(url: str, allow_networks: Sequence[Network]) -> None:
    """Refuse an address that deliveries can never be sent to, as far as that shows without DNS; raises Unacceptable."""
    place = read_target(url).place
    if place.scheme == "http" and not allow_networks:
        raise Unacceptable(FIELD, "{deliver_to}: http:// goes only into JIRA_GATEWAY_ALLOW_NETWORKS; use https://")
    addresses = _known_addresses(place.host)
    if place.scheme == "http":
        problems = [None if is_inside(address, allow_networks) else "outside" for address in addresses]
    else:
        problems = [objection(address, allow_networks) for address in addresses]
    if addresses and all(problems):
        what = (
            "http:// goes only into"
            if place.scheme == "http"
            else f"its address ({problems[0]}) is not public and not in"
        )
        raise Unacceptable(FIELD, "{deliver_to}: " + literally(what) + " JIRA_GATEWAY_ALLOW_NETWORKS")


def is_inside(address: IPAddress, networks: Sequence[Network]) -> bool:
    """Say whether an address lies in one of the networks."""
    reached = canonical(address)
    return any(reached in network for network in networks)


def _known_addresses(host: str) -> Sequence[IPAddress]:
    """Return the addresses that a host has whatever DNS says (RFC 6761 section 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return _LOOPBACK
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        return []
