"""Where a change of CAs stands, as the gateway writes it beside the CA (`rollover.json`) and others read it.

A pure value: who decides is gateway.rollover; `jira-certs` and `jira-gateway doctor` show it, and refuse to end a
rollover that something still needs.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from certs.errors import CertificateRejected


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who would be cut off without the older CA, and until when at most."""

    who: str
    until: datetime

    def __str__(self) -> str:
        return f"{self.who} (until {self.until:%Y-%m-%d %H:%M} UTC)"


@dataclass(frozen=True, slots=True)
class Rollover:
    """SHA-256 (hex) of the CA that signs, and of the one that the tunnel's certificate goes back to; who waits."""

    signer: str
    tunnel: str
    waiting: tuple[Waiting, ...] = ()

    @property
    def has_moved(self) -> bool:
        """Whether the tunnel's certificate is the new CA's."""
        return self.signer == self.tunnel

    def to_json(self) -> bytes:
        """Return it as the file holds it: equal values are equal files."""
        waiting = [{"who": row.who, "until": row.until.isoformat()} for row in self.waiting]
        fields = {"version": 1, "signer": self.signer, "tunnel": self.tunnel, "waiting": waiting}
        return json.dumps(fields, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read it.

        Raises:
            CertificateRejected: it is of another shape.
        """
        try:
            fields = json.loads(content)
            if fields["version"] != 1:
                raise ValueError  # noqa: TRY301  # one answer to everything unexpected
            waiting = tuple(Waiting(str(row["who"]), _aware(row["until"])) for row in fields["waiting"])
            return cls(str(fields["signer"]), str(fields["tunnel"]), waiting)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CertificateRejected("rollover.json is damaged", "delete it; the gateway writes it anew") from error


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment
