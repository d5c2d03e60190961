"""The way to one gateway, step by step: name, proxy, connection, who answers TLS, and whose clock is right."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from agent.addresses import GatewayAddress
from agent.dialer import ProxyRoute
from agent.doctor.check import Check, failed, passed, skip_all, skipped
from agent.enroll import fetch_offered_ca
from agent.errors import Cause, DialError, describe
from agent.identity import CA_FILE, Identity
from agent.sighting import Sighting, look
from certs.enrollment import EnrollmentCode, check_ca
from certs.errors import CertsError
from certs.files import read_public
from certs.shown import ShownCertificate

RESOLVE_SECONDS: Final = 5.0
CLOCK_SECONDS: Final = 30.0
"""Certificates begin five minutes in the past, and times of webhooks are compared: well below that."""

_OF_PROXY: Final = {
    Cause.PROXY_FAILED, Cause.PROXY_LOGIN, Cause.PROXY_REFUSED, Cause.PROXY_UNREACHABLE, Cause.PROXY_UNTRUSTED,
}  # fmt: skip
INTERCEPTED: Final = (
    "exempt the gateway from TLS inspection: the tunnel proves both sides by certificates of its own CA"
)


@dataclass(frozen=True, slots=True)
class Way:
    """One gateway, how it is reached, and what this machine knows to recognise it by."""

    gateway: GatewayAddress
    route: ProxyRoute
    user_agent: str
    identity: Identity | None
    code: EnrollmentCode | None = None

    @property
    def proxy(self) -> str | None:
        """The proxy's host and port, None for a direct way."""
        return self.route.name(self.gateway)


async def check_dns(way: Way) -> Check:
    """Resolve the gateway's name, unless the proxy does."""
    host = way.gateway.host
    try:
        return passed("dns", f"{ipaddress.ip_address(host)} is an address")
    except ValueError:
        pass
    try:
        addresses = await resolve(host, way.gateway.port)
    except OSError as error:
        if way.proxy is not None:
            return skipped("dns", f"{host} is not known here ({describe(error)}); the proxy resolves it")
        detail = f"{host}: {describe(error)}"
        return failed("dns", detail, "check the name in JIRA_AGENT_GATEWAY_URL and this machine's /etc/resolv.conf")
    return passed("dns", f"{host} is at {', '.join(addresses)}")


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, each once; raises OSError, and that as TimeoutError in time."""
    async with asyncio.timeout(RESOLVE_SECONDS):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


async def check_way(way: Way) -> tuple[list[Check], Sighting | None]:
    """Go to the gateway through the proxy if there is one: the checks proxy and connect, and what was seen there."""
    direct = skipped(
        "proxy", "none for this gateway: JIRA_AGENT_PROXY_URL and HTTPS_PROXY are not set, or NO_PROXY exempts it"
    )
    try:
        sighting = await look(way.gateway, way.route, way.user_agent)
    except DialError as error:
        if error.cause in _OF_PROXY:
            return [
                failed("proxy", error.reason, error.cause.action),
                skipped("connect", "no way through the proxy"),
            ], None
        first = direct if way.proxy is None else skipped("proxy", "it was not reached")
        return [first, failed("connect", error.reason, error.cause.action)], None
    first = (
        direct
        if way.proxy is None
        else passed("proxy", f"{way.proxy} connects to {way.gateway.host}:{way.gateway.port}")
    )
    return [first, passed("connect", f"{way.gateway} accepts connections")], sighting


async def check_tls(way: Way, sighting: Sighting) -> Check:
    """Tell whether who answers is the gateway: by the CA of the enrolment, or what the code or the gateway names."""
    shown = sighting.certificate
    if shown is None:
        return failed("tls", f"what answers at {way.gateway} {sighting.problem}", Cause.NOT_A_GATEWAY.action)
    try:
        ca = await _known_ca(way)
    except CertsError as error:
        return failed(
            "tls", f"{error.problem}; the certificate at {way.gateway} was issued by {shown.issuer}", error.fix
        )
    except DialError as error:
        issuer = f"its certificate was issued by {shown.issuer}"
        detail = f"what answers at {way.gateway} is no gateway ({error.reason}); {issuer}"
        return failed("tls", detail, INTERCEPTED if error.status == 0 else error.cause.action)
    return judge_certificate(way.gateway, shown, ca, is_pinned=way.identity is not None or way.code is not None)


async def _known_ca(way: Way) -> bytes:
    if way.identity is not None:
        return read_public(way.identity.directory / CA_FILE)
    offered = await fetch_offered_ca(way.gateway, way.route, way.user_agent)
    return offered if way.code is None else check_ca(offered, way.code.ca_fingerprint)


def judge_certificate(gateway: GatewayAddress, shown: ShownCertificate, ca: bytes, *, is_pinned: bool) -> Check:
    """Compare the certificate that was shown with the CA; `is_pinned` when the CA is known for sure."""
    try:
        is_ours = shown.is_issued_by(ca)
    except CertsError as error:
        return failed("tls", error.problem, error.fix)
    if not is_ours:
        detail = (
            f"TLS to {gateway} is intercepted: its certificate was issued by {shown.issuer}, not by the gateway's CA"
        )
        return failed("tls", detail, INTERCEPTED)
    if not shown.is_for(gateway.host):
        names = ", ".join(shown.names)[:200] or "nobody"
        detail = f"the gateway's certificate is for {names}, not for {gateway.host}"
        return failed("tls", detail, "dial it by one of these names, or let its operator set JIRA_GATEWAY_TUNNEL_URL")
    until = f"certificate of the gateway's CA until {shown.not_after:%Y-%m-%d %H:%M} UTC"
    note = "" if is_pinned else "; that this is your gateway's CA is checked with the enrolment code"
    return passed("tls", f"not intercepted: {until}{note}")


def check_clock(sighting: Sighting) -> Check:
    """Compare this machine's clock with the time of the gateway's answer."""
    ahead = sighting.clock_ahead
    if ahead is None:
        return skipped("clock", "the gateway's answer had no date")
    return judge_clock(ahead)


def judge_clock(ahead: float) -> Check:
    """Say what a difference of clocks, in seconds, means."""
    if abs(ahead) <= CLOCK_SECONDS:
        return passed("clock", f"within {max(1, round(abs(ahead)))} s of the gateway's")
    side = "ahead of" if ahead > 0 else "behind"
    detail = f"this machine's clock is {_span(abs(ahead))} {side} the gateway's"
    return failed("clock", detail, "let NTP set it (timedatectl set-ntp true, or chrony); ask whose clock is right")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def skip_rest(reason: str, *checks: str) -> list[Check]:
    """Return what is left of a gateway's checks, skipped."""
    return skip_all(checks, reason)
