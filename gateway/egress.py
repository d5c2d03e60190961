"""From where the gateway dials, and what it may dial: every outbound socket for callers gets its addresses here.

`Egress` is the operator's choice of source addresses: at most one per family, and a family that is not listed is
not dialled. A `Dialer` resolves a host at connect time, judges every address (ssrf.py), and returns the checked
addresses themselves, so that nothing is resolved twice. DNS and the database are not bound to the source address.
"""

import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.name_lookup import NameLookup
from gateway.settings import GatewaySettings, IPAddress, Network
from gateway.ssrf import objection
from http1.origin import DialAddress
from runtime.configuration import ConfigurationError

MAX_ADDRESSES = 4
EGRESS_IP = "JIRA_GATEWAY_EGRESS_IP"
EGRESS_PUBLIC_IP = "JIRA_GATEWAY_EGRESS_PUBLIC_IP"


class AddressForbidden(OSError):
    """The address that a host has must not be dialled; `strerror` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)


@dataclass(frozen=True, slots=True)
class Egress:
    """The local addresses of outbound sockets by IP version (4, 6); empty: whatever the system chooses."""

    sources: dict[int, IPAddress]

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> "Egress":
        """Return the configured addresses; raises `ConfigurationError`."""
        return cls(one_per_family(settings.egress_ip, EGRESS_IP))

    def may_dial(self, address: IPAddress) -> bool:
        """Say whether there is a source address of this family, or none is asked for at all."""
        return not self.sources or address.version in self.sources

    def source(self, address: IPAddress) -> str | None:
        """Return from where `address` is dialled."""
        chosen = self.sources.get(address.version)
        return None if chosen is None else str(chosen)

    def check_bindable(self) -> None:
        """Bind each address once; raises `ConfigurationError` that names the one this machine does not have."""
        for address in self.sources.values():
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            with socket.socket(family, socket.SOCK_STREAM) as attempt:
                try:
                    attempt.bind((str(address), 0))
                except OSError as error:
                    reason = os.strerror(error.errno) if error.errno else type(error).__name__
                    raise ConfigurationError(
                        EGRESS_IP,
                        f"{address} cannot be bound ({reason})",
                        "give this machine the address, or name one that 'ip address' shows",
                    ) from None


def one_per_family(addresses: Sequence[IPAddress], variable: str) -> dict[int, IPAddress]:
    """Return the addresses by IP version; raises `ConfigurationError` when a family has two."""
    chosen: dict[int, IPAddress] = {}
    for address in addresses:
        if chosen.setdefault(address.version, address) != address:
            problem = f"names two IPv{address.version} addresses"
            raise ConfigurationError(variable, problem, "name at most one IPv4 and one IPv6 address")
    return chosen


@dataclass(frozen=True, slots=True)
class Dialer:
    """Finds out which addresses a host has and which of them may be dialled; its `resolve` is an `http1` Resolve."""

    egress: Egress
    allowed: Sequence[Network]
    names: NameLookup = field(default_factory=NameLookup)

    async def resolve(self, host: str, port: int) -> Sequence[DialAddress]:
        """Return the addresses to dial; raises OSError, `AddressForbidden` when there are only forbidden ones."""
        del port
        return self.choose(await self.names.addresses(host))

    def choose(self, addresses: Sequence[IPAddress]) -> Sequence[DialAddress]:
        """Return those of `addresses` that may be dialled, in order; raises `AddressForbidden`."""
        objections = {address: objection(address, self.allowed) for address in addresses}
        public = [address for address, problem in objections.items() if problem is None]
        if not public:
            kinds = ", ".join(sorted({problem for problem in objections.values() if problem})) or "none at all"
            raise AddressForbidden(f"its address is not public ({kinds}) and JIRA_GATEWAY_ALLOW_NETWORKS lacks it")
        dialled = [address for address in public if self.egress.may_dial(address)]
        if not dialled:
            families = " and ".join(f"IPv{version}" for version in sorted(self.egress.sources))
            raise AddressForbidden(f"it has no {families} address, and {EGRESS_IP} lists no other family")
        return [DialAddress(str(address), self.egress.source(address)) for address in dialled[:MAX_ADDRESSES]]
