"""What each kind of certificate contains and how long it lives: one table, read by certs.ca.

Nothing of a certificate comes from anywhere else but this table and our own record of names.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import AuthorityUnfit, NameRejected
from certs.identity import AgentIdentity

BACKDATE = timedelta(minutes=5)  # so that a peer whose clock is a little behind accepts a fresh certificate
HOST_RULE = "use a plain lower-case DNS name without wildcards, or an IP address"

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of certificate: basic constraints, usages (RFC 5280 §4.2.1) and the lifetimes allowed."""

    kind: str
    lifetime: timedelta
    shortest: timedelta
    longest: timedelta
    constraints: x509.BasicConstraints
    key_usage: x509.KeyUsage
    extended_key_usage: x509.ExtendedKeyUsage | None


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,  # RSA key transport; TLS 1.3 has none
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


CA = Profile(
    kind="ca",
    lifetime=timedelta(days=3652),
    shortest=timedelta(days=1),
    longest=timedelta(days=7305),
    constraints=x509.BasicConstraints(ca=True, path_length=0),  # signs peers, never another CA
    key_usage=_usage(signs_certificates=True),
    extended_key_usage=None,
)
SERVER = Profile(
    kind="server",
    lifetime=timedelta(days=30),
    shortest=timedelta(hours=1),
    longest=timedelta(days=398),
    constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_usage=_usage(signs_certificates=False),
    extended_key_usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
)
AGENT = Profile(
    kind="agent",
    lifetime=timedelta(days=7),
    shortest=timedelta(hours=1),
    longest=timedelta(days=30),
    constraints=x509.BasicConstraints(ca=False, path_length=None),
    key_usage=_usage(signs_certificates=False),
    extended_key_usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
)


def validity(profile: Profile, now: datetime, lifetime: timedelta | None = None) -> tuple[datetime, datetime]:
    """Return (not before, not after), whole seconds, for a certificate made now.

    Raises:
        AuthorityUnfit: the lifetime asked for lies outside the profile's limits.
    """
    span = profile.lifetime if lifetime is None else lifetime
    if not profile.shortest <= span <= profile.longest:
        raise AuthorityUnfit(
            f"a lifetime of {_shown(span)} is not allowed for this kind of certificate ({profile.kind})",
            f"choose between {_shown(profile.shortest)} and {_shown(profile.longest)}",
        )
    start = now.replace(microsecond=0)
    return start - BACKDATE, start + span


def _shown(span: timedelta) -> str:
    return f"{span.days}d" if span >= timedelta(days=1) else f"{span / timedelta(hours=1):.3g}h"


def common_name(text: str) -> x509.Name:
    """Return a subject for people to read; no check ever looks at it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def agent_names(identity: AgentIdentity) -> x509.SubjectAlternativeName:
    """Return the names of an agent's certificate: exactly one URI."""
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri)])


def host_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    """Return the names of a server certificate, from host names and IP addresses.

    Raises:
        NameRejected: there is none, or one is neither a plain DNS name nor an IP address.
    """
    if not hosts:
        raise NameRejected("", HOST_RULE)
    return x509.SubjectAlternativeName(dict.fromkeys(map(_host_name, hosts)))


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    name = host.lower()
    # A last label of digits would be an address that somebody's resolver understands differently (RFC 1123 §2.1).
    if not _HOST.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise NameRejected(host, HOST_RULE)
    return x509.DNSName(name)
