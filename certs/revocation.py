"""The deny-list: which certificates are refused although they are genuine and not expired.

A pure, immutable value: the gateway asks it at the handshake and again for live links whenever it changes; keeping
it (in the store, or in `revoked.json` beside a CA made by hand) is the caller's affair.
"""

import json
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from certs.certificates import AgentCertificate, serial_hex
from certs.errors import CertificateRejected, NameRejected
from certs.identity import AgentIdentity, check_name

_FIELDS = {"version", "serials", "agents", "instances"}


class Denial(Enum):
    """By what a certificate is denied."""

    SERIAL = "serial"
    AGENT = "agent"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class DenyList:
    """Denied serial numbers, agent names (all their instances), and single instances."""

    serials: AbstractSet[int] = field(default_factory=frozenset)
    agents: AbstractSet[str] = field(default_factory=frozenset)
    instances: AbstractSet[AgentIdentity] = field(default_factory=frozenset)

    def denial(self, identity: AgentIdentity, serial: int) -> Denial | None:
        """Return by what this certificate is denied, or None when it is not."""
        if identity.name in self.agents:
            return Denial.AGENT
        if identity in self.instances:
            return Denial.INSTANCE
        return Denial.SERIAL if serial in self.serials else None

    def denies(self, certificate: AgentCertificate) -> bool:
        """Tell whether this certificate may hold no link."""
        return self.denial(certificate.identity, certificate.serial) is not None

    def with_serial(self, serial: int) -> Self:
        """Return the list that also denies one certificate."""
        return replace(self, serials=self.serials | {serial})

    def with_agent(self, name: str) -> Self:
        """Return the list that also denies every instance of an agent."""
        return replace(self, agents=self.agents | {check_name(name)})

    def with_instance(self, identity: AgentIdentity) -> Self:
        """Return the list that also denies one instance, whatever certificate it shows."""
        return replace(self, instances=self.instances | {identity})

    def to_json(self) -> bytes:
        """Return the list as `revoked.json` holds it: sorted, so that equal lists are equal files."""
        fields = {
            "version": 1,
            "serials": [serial_hex(serial) for serial in sorted(self.serials)],
            "agents": sorted(self.agents),
            "instances": [str(identity) for identity in sorted(self.instances)],
        }
        return json.dumps(fields, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read a list.

        Raises:
            CertificateRejected: anything unexpected in it. A deny-list that is only half understood protects nobody,
                so it is never read in part.
        """
        try:
            fields = json.loads(content)
            if set(fields) != _FIELDS or fields["version"] != 1:
                raise ValueError  # noqa: TRY301  # one answer to everything unexpected
            return cls(
                frozenset(int(serial, 16) for serial in fields["serials"]),
                frozenset(check_name(name) for name in fields["agents"]),
                frozenset(AgentIdentity(*text.split("/")) for text in fields["instances"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, NameRejected) as error:
            raise CertificateRejected("the deny-list is damaged", "restore revoked.json from a backup") from error
