"""Who still needs an older CA while a new one signs already: the rule by which the tunnel's certificate moves. Pure.

An agent trusts the new CA for sure once it has shown a certificate by it, because the CAs come into force with, or
before, the certificate (agent.identity). What the store says is not enough: a grant may have been lost on its way.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs.certificates import AgentCertificate
from certs.identity import AgentIdentity
from certs.profiles import AGENT, BACKDATE
from certs.rollover import Waiting
from gateway.store import Instance, Invite

LONGEST_CODE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Records:
    """What the store says: every instance, and every enrolment code."""

    instances: Iterable[Instance] = ()
    invites: Iterable[Invite] = ()


def rotated_at(signer_not_before: datetime) -> datetime:
    """Return from when on the CA that signs surely was there; its own times are cut to whole seconds."""
    return signer_not_before + BACKDATE + timedelta(seconds=1)


def waiting_for(
    since: datetime,
    records: Records,
    links: Iterable[AgentCertificate],
    proven: Collection[AgentIdentity],
    signer: bytes,
    now: datetime,
) -> tuple[Waiting, ...]:
    """Return who would be cut off if the tunnel's certificate were the new CA's now.

    Args:
        since: when the new CA began to sign.
        records: from the store.
        links: the certificates of all live links.
        proven: who has shown a certificate by the new CA.
        signer: the key id of the new CA.
        now: the time.
    """
    found: dict[str, datetime] = {}
    for row in records.instances:
        identity = AgentIdentity(row.agent, row.instance)
        if row.revoked_at is None and row.enrolled_at < since and identity not in proven:
            # Renewed by the record, but not seen with it: the older certificate may be the one in use.
            found[str(identity)] = min(row.expires_at, since + AGENT.lifetime)
    for certificate in links:
        if certificate.signer != signer and certificate.identity not in proven:
            found[str(certificate.identity)] = certificate.not_after
    for code in records.invites:
        if code.used_at is None:  # it pins the CA that the tunnel shows now
            name = f"an enrolment code for {code.agent}"
            until = min(code.expires_at, since + AGENT.lifetime + LONGEST_CODE)
            found[name] = max(until, found.get(name, until))
    return tuple(Waiting(who, until) for who, until in sorted(found.items()) if until > now)
