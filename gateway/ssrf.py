"""Which addresses the gateway may dial for others: a table of those that are not the public internet. Pure.

A direct connection's base URL names a host, and DNS decides what that is, perhaps another address each time. So
the resolved address itself is judged, and it is that address that is dialled (egress.py): a name that resolves
elsewhere later gains nothing. The table is explicit because `ipaddress.is_global` changes with Python's version
and lets some addresses through that clouds answer on; it is asked all the same, as the last row.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

from gateway.settings import IPAddress, Network

_FORBIDDEN: Final = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT or cloud metadata",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "cloud metadata",  # Azure's, on an address that looks public
    "169.254.0.0/16": "link-local or cloud metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments or cloud metadata",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT relays",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved or broadcast",
    "::1/128": "loopback",
    "::/96": "unspecified or IPv4-compatible",
    "64:ff9b:1::/48": "local NAT64",
    "100::/64": "discard",
    "100:0:0:1::/64": "discard",
    "2001::/23": "protocol assignments or Teredo",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "private or cloud metadata",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
_TABLE: Final = tuple((ipaddress.ip_network(text), kind) for text, kind in _FORBIDDEN.items())
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")


def canonical(address: IPAddress) -> IPAddress:
    """Return the address that would be reached: an IPv4 one written as IPv6 (::ffff:a.b.c.d) is the IPv4 one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def objection(address: IPAddress, allowed: Sequence[Network]) -> str | None:
    """Return which kind of address this is and in which network, when it must not be dialled; None when it may.

    `allowed` networks are exempt. An address that NAT64 translates is judged as the IPv4 address that is reached.
    """
    address = canonical(address)
    reached = _translated(address)
    if any(candidate in network for candidate in (address, reached) for network in allowed):
        return None
    for network, kind in _TABLE:
        if reached in network:
            return f"{kind}, {network}"
    if isinstance(reached, ipaddress.IPv6Address) and reached not in _UNICAST:
        return "no public unicast address"
    return None if reached.is_global else "no public address"


def _translated(address: IPAddress) -> IPAddress:
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
