"""Whose word about a caller's address is taken: the load balancers of JIRA_GATEWAY_TRUSTED_PROXIES. Pure.

The address is for people and for counting tries of enrolment; no right ever follows from it.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.proxy_protocol import plain_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_FOR: Final = b"x-forwarded-for"
MAX_HOPS: Final = 32


class TrustedProxies:
    """The networks whose hosts are believed; none by default."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __repr__(self) -> str:
        return f"<TrustedProxies {', '.join(map(str, self._networks)) or 'none'}>"

    def trusts(self, peer: str) -> bool:
        """Tell whether this address is a load balancer of ours."""
        address = _address(peer)
        if address is None:
            return False
        return any(address.version == network.version and address in network for network in self._networks)

    def caller(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return whose request it is: the nearest address in X-Forwarded-For that is not a load balancer's itself.

        Each of them appends the address that it sees, so that everything before the first that is not ours is only
        what somebody says. An entry that is no address ends the search: then the load balancer itself is named.
        """
        if not self._networks or not self.trusts(peer):
            return peer
        hops = b",".join(value for name, value in headers if name.lower() == FORWARDED_FOR).split(b",")
        for hop in reversed(hops[-MAX_HOPS:]):
            address = _address(_bare(hop.strip().decode("latin-1")))
            if address is None:
                return peer
            peer = plain_address(address)
            if not self.trusts(peer):
                return peer
        return peer


def _bare(hop: str) -> str:
    """Return an entry without the port that some load balancers append."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return ipaddress.ip_address(plain_address(address))
