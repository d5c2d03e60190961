"""One look at what answers at a gateway's address, trusting nobody and telling nothing: proxy, TLS, certificate, time.

For the doctor, and for enrolments that fail: the verified dial (agent.dialer) says that something is wrong, this says
who is there instead. Knows nothing of links and of who this agent is.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from websockets.asyncio.client import connect_http_proxy
from websockets.exceptions import WebSocketException
from websockets.proxy import parse_proxy
from websockets.uri import parse_uri

from agent.addresses import GatewayAddress
from agent.credentials import proxy_name
from agent.dialer import ProxyRoute, explain
from agent.errors import Cause, DialError, describe
from certs.errors import CertsError
from certs.shown import ShownCertificate, read_shown

LOOK_SECONDS = 5.0
HEAD_SECONDS = 3.0
MAX_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen: the certificate, or why there was none; by how many seconds our clock is ahead of the server's."""

    certificate: ShownCertificate | None
    problem: str | None = None
    clock_ahead: float | None = None


async def look(gateway: GatewayAddress, route: ProxyRoute, user_agent: str) -> Sighting:
    """Connect as a link would, shake hands without verifying, and ask for a page that is not there.

    Raises:
        DialError: there is no way to the address; whatever its TLS is like, it is told in the result.
    """
    protocol = _Reading()
    transport = await _reach(gateway, route, user_agent, protocol)
    try:
        return await _shake(gateway, transport, protocol)
    finally:
        transport.abort()


async def _reach(
    gateway: GatewayAddress, route: ProxyRoute, user_agent: str, protocol: "_Reading"
) -> asyncio.Transport:
    options = route.options(gateway)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            if options["proxy"] is None:
                loop = asyncio.get_running_loop()
                return (await loop.create_connection(lambda: protocol, gateway.host, gateway.port))[0]
            proxy, uri = parse_proxy(options["proxy"]), parse_uri(gateway.url)
            tls = {"ssl": options["proxy_ssl"]} if "proxy_ssl" in options else {}
            transport = await connect_http_proxy(proxy, uri, user_agent_header=user_agent, **tls)
    except (WebSocketException, OSError, EOFError) as error:
        told = explain(error, gateway, route.choose(gateway))
        if told.cause is Cause.PROXY_UNTRUSTED:
            raise await _name_proxys_issuer(gateway, route, told) from None
        raise told from None
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return transport


async def _name_proxys_issuer(gateway: GatewayAddress, route: ProxyRoute, told: DialError) -> DialError:
    """Say who signed the certificate of an https:// proxy that cannot be verified; no login is sent to it."""
    chosen = route.choose(gateway)
    if chosen is None:
        return told
    host, _, port = proxy_name(chosen).rpartition(":")
    protocol = _Reading()
    with suppress(OSError, CertsError):
        async with asyncio.timeout(LOOK_SECONDS):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda: protocol, host.strip("[]"), int(port), ssl=_anybody())
        try:
            issuer = _shown(transport).issuer
        finally:
            transport.abort()
        return DialError(told.cause, f"{told.reason}; its certificate was issued by {issuer}")
    return told


async def _shake(gateway: GatewayAddress, transport: asyncio.Transport, protocol: "_Reading") -> Sighting:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            secured = await loop.start_tls(transport, protocol, _anybody(), server_hostname=gateway.host)
    except TimeoutError:
        return Sighting(None, "gives no answer to a TLS handshake")
    except (OSError, EOFError) as error:
        return Sighting(None, f"does not complete a TLS handshake ({describe(error)})")
    if secured is None:
        return Sighting(None, "closes the connection in the TLS handshake")
    try:
        certificate = _shown(secured)
    except CertsError as error:
        return Sighting(None, error.problem)
    secured.write(f"GET / HTTP/1.1\r\nHost: {gateway.host}\r\nConnection: close\r\n\r\n".encode("ascii"))
    began = datetime.now(UTC)
    with suppress(TimeoutError):
        async with asyncio.timeout(HEAD_SECONDS):
            await protocol.head_is_there.wait()
    middle = began + (datetime.now(UTC) - began) / 2
    return Sighting(certificate, clock_ahead=read_clock(bytes(protocol.head), middle))


def _shown(transport: asyncio.BaseTransport) -> ShownCertificate:
    return read_shown(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))


def read_clock(head: bytes, now: datetime) -> float | None:
    """Return by how many seconds `now` is ahead of the ``Date`` of an HTTP head; None without a readable one.

    A ``Date`` has whole seconds, so that half of one is added.
    """
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"date":
            with suppress(ValueError, TypeError, OverflowError):
                date = parsedate_to_datetime(value.decode("ascii", "replace").strip())
                if date.tzinfo is not None:
                    return (now - date).total_seconds() - 0.5
    return None


def _anybody() -> ssl.SSLContext:
    """Return a context that shakes hands with everybody, TLS 1.2 included: what intercepts TLS often has no 1.3."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Reading(asyncio.Protocol):
    """Collects the head of one answer."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.head_is_there = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        if len(self.head) < MAX_HEAD:
            self.head += data[: MAX_HEAD - len(self.head)]
        if b"\r\n\r\n" in self.head or len(self.head) >= MAX_HEAD:
            self.head_is_there.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.head_is_there.set()
