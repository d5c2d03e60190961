"""The header by which a load balancer says whose bytes follow: PROXY protocol, version 2. Pure.

https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt §2.2. Its first twelve bytes begin neither TLS nor HTTP, so
that a peer which sends none is told apart at once. Version 1 (text) is not read. Who may send one is decided elsewhere.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
HEADER_BYTES: Final = 16
MAX_HEADER_BYTES: Final = 4096
"""Addresses take at most 216 bytes; the rest are notes of the load balancer (TLVs), which are skipped."""

_LOCAL, _PROXY = 0x20, 0x21
_STREAM: Final = 1
_ADDRESS_BYTES: Final = {1: 4, 2: 16}  # of the families IPv4 and IPv6; others (0: unknown, 3: unix) name no caller


class ProxyHeaderRejected(Exception):
    """The peer's header breaks the specification; `reason` is one sentence for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says: `length` bytes in all; `caller` is an IP address, None when the bytes are the peer's own."""

    length: int
    caller: str | None


def may_begin(data: bytes) -> bool:
    """Tell whether a header may begin with these bytes, of which there may be few yet."""
    return data[: len(SIGNATURE)] == SIGNATURE[: len(data)]


def header_length(data: bytes) -> int:
    """Return how long the header is that begins with these bytes, HEADER_BYTES at least.

    Raises:
        ProxyHeaderRejected: no header, or one that is longer than any load balancer's.
    """
    if not data.startswith(SIGNATURE):
        raise ProxyHeaderRejected("these bytes begin no PROXY header of version 2")
    length = HEADER_BYTES + int(struct.unpack_from("!H", data, 14)[0])
    if length > MAX_HEADER_BYTES:
        raise ProxyHeaderRejected(f"a PROXY header of {length} bytes")
    return length


def read_header(data: bytes) -> ProxyHeader:
    """Read a whole header; bytes after it are not looked at.

    Raises:
        ProxyHeaderRejected: it is cut, of another version, or too short for the addresses that it announces.
    """
    if len(data) < HEADER_BYTES or len(data) < (length := header_length(data)):
        raise ProxyHeaderRejected("the PROXY header is cut")
    command, family = data[12], data[13] >> 4
    if command == _LOCAL:  # the load balancer's own, such as a health check
        return ProxyHeader(length, None)
    if command != _PROXY:
        raise ProxyHeaderRejected(f"a PROXY header with version and command {command:#04x}")
    size = _ADDRESS_BYTES.get(family)
    if size is None or data[13] & 0x0F != _STREAM:
        return ProxyHeader(length, None)
    if length < HEADER_BYTES + 2 * size + 4:
        raise ProxyHeaderRejected("the PROXY header is too short for its addresses")
    address = ipaddress.ip_address(data[HEADER_BYTES : HEADER_BYTES + size])
    return ProxyHeader(length, plain_address(address))


def plain_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return an address as text; an IPv4 one in IPv6 clothes is the IPv4 one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
