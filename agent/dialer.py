"""One attempt to open a websocket to a gateway: proxy, TLS, subprotocol, deadline, socket options.

The only file that dials, and the only one that knows the exceptions of the websocket library: everything leaves here
as a `DialError`. Policy about retries is the supervisor's.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from traceback import extract_tb
from typing import Any, cast

from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidMessage,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.typing import Subprotocol

from agent.addresses import GatewayAddress
from agent.credentials import proxy_name, proxy_url
from agent.errors import Cause, DialError, classify, classify_proxy_status, classify_status, describe
from agent.identity import Identity
from certs.errors import CertsError
from tunnel.link import SUBPROTOCOL, WEBSOCKET_OPTIONS
from tunnel.sockets import tune_socket

DIAL_SECONDS = 5.0
TUNNEL_PATH = "/tunnel/v1"
CUTS_UNTIL_SUSPICION = 3
MAX_REASON = 200

Websocket = ClientConnection
"""What an attempt yields; the rest of the agent knows it by this name."""

_OPTIONS = cast("dict[str, Any]", WEBSOCKET_OPTIONS)  # keyword arguments of mixed types


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """How gateways are reached: `choose` names the proxy of one, `tls` verifies an https:// proxy."""

    choose: Callable[[GatewayAddress], SecretStr | None]
    tls: ssl.SSLContext | None = None

    def name(self, gateway: GatewayAddress) -> str | None:
        """Return host and port of this gateway's proxy, for people; None for a direct dial."""
        chosen = self.choose(gateway)
        return None if chosen is None else proxy_name(chosen)

    def options(self, gateway: GatewayAddress) -> dict[str, Any]:
        """Return the websocket library's arguments for this gateway."""
        chosen = self.choose(gateway)
        if chosen is None:
            return {"proxy": None}  # the library's default would read the environment by itself
        url = proxy_url(chosen)
        return {"proxy": url, "proxy_ssl": self.tls} if url.startswith("https:") else {"proxy": url}


@dataclass(slots=True)
class Dialer:
    """Opens websockets to gateways; remembers only how many handshakes in a row each of them cut."""

    route: ProxyRoute
    user_agent: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    congestion_control: str | None = None
    _cuts: dict[GatewayAddress, int] = field(default_factory=dict)

    async def dial(self, gateway: GatewayAddress, identity: Identity) -> Websocket:
        """Return an open websocket for a tunnel.

        Raises:
            DialError: it did not open, with the cause.
        """
        now = self.now()
        if identity.is_expired(now):
            ended = f"this agent's certificate ended on {identity.certificate.not_after:%Y-%m-%d %H:%M} UTC"
            clock = f"this machine's clock shows {now:%Y-%m-%d %H:%M} UTC"
            raise DialError(Cause.CERTIFICATE_EXPIRED, f"{ended} ({clock})")
        try:
            context = identity.context()
        except CertsError as error:
            raise DialError(Cause.IDENTITY_UNUSABLE, str(error)) from None
        try:
            websocket = await open_websocket(gateway, TUNNEL_PATH, context, self.route, self.user_agent)
        except DialError as error:
            raise self._suspect(gateway, error) from None
        self._cuts.pop(gateway, None)
        self.congestion_control = tune_socket(websocket.transport.get_extra_info("socket"))
        return websocket

    def _suspect(self, gateway: GatewayAddress, error: DialError) -> DialError:
        """Read several cut handshakes in a row as what TLS 1.3 makes of a rejected certificate (docs/facts.md L9)."""
        if error.cause is not Cause.HANDSHAKE_CUT:
            self._cuts.pop(gateway, None)
            return error
        cuts = self._cuts[gateway] = self._cuts.get(gateway, 0) + 1
        if cuts < CUTS_UNTIL_SUSPICION:
            return error
        return DialError(Cause.CERTIFICATE_PROBABLY_REJECTED, error.reason)


async def open_websocket(
    gateway: GatewayAddress, path: str, context: ssl.SSLContext, route: ProxyRoute, user_agent: str
) -> Websocket:
    """Open a websocket to `path` of a gateway within the dial deadline.

    Raises:
        DialError: it did not open, with the cause.
    """
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            websocket = await connect(
                gateway.url + path,
                ssl=context,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                user_agent_header=user_agent,
                open_timeout=None,  # the deadline is ours
                **route.options(gateway),
                **_OPTIONS,
            )
    except (WebSocketException, OSError, EOFError) as error:
        raise explain(error, gateway, route.choose(gateway)) from None
    if websocket.subprotocol != SUBPROTOCOL:
        websocket.transport.abort()
        raise DialError(Cause.NOT_A_GATEWAY, f"{gateway} does not speak {SUBPROTOCOL}")
    return websocket


def explain(error: Exception, gateway: GatewayAddress, proxy: SecretStr | None) -> DialError:
    """Return what an exception of the websocket library, or of the system below it, means for this gateway."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        said = (error.response.body or b"")[:MAX_REASON].decode("utf-8", "replace").strip()
        reason = f"{gateway} answered {status}" + (f" ({said})" if said.isprintable() and said else "")
        return DialError(classify_status(status), reason, _retry_after(error), status)
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        reason = (
            f"the proxy {_name(proxy)} answered {status}{_login_wanted(error)} to CONNECT {gateway.host}:{gateway.port}"
        )
        return DialError(classify_proxy_status(status), reason, status=status)
    if isinstance(error, ProxyError | InvalidProxy):
        return DialError(Cause.PROXY_UNREACHABLE, f"the proxy {_name(proxy)} does not speak HTTP CONNECT")
    root = _root(error)
    if proxy is not None and isinstance(root, ssl.SSLError) and _is_of_proxy(error):
        cause = Cause.PROXY_UNTRUSTED if isinstance(root, ssl.SSLCertVerificationError) else Cause.PROXY_UNREACHABLE
        return DialError(cause, f"TLS to the proxy {_name(proxy)}: {describe(root)}")
    if isinstance(error, WebSocketException) and not isinstance(error, InvalidMessage):
        return DialError(Cause.NOT_A_GATEWAY, f"{gateway} refused the websocket ({type(error).__name__})")
    cause = classify(root)
    if proxy is not None and cause in {Cause.UNREACHABLE, Cause.NAME_UNKNOWN}:
        return DialError(Cause.PROXY_UNREACHABLE, f"{gateway} through the proxy {_name(proxy)}: {describe(root)}")
    return DialError(cause, f"{gateway}: {describe(root)}")


def _login_wanted(error: InvalidProxyStatus) -> str:
    """Say which logins a proxy offers that wants one, when Basic, the only one that we know, is not among them."""
    offers = error.response.headers.get_all("Proxy-Authenticate")
    kinds = sorted({offer.split(maxsplit=1)[0] for offer in offers if offer.strip()})
    if error.response.status_code != 407 or not kinds or "basic" in map(str.lower, kinds):
        return ""
    named = ", ".join(kinds)[:MAX_REASON]
    return f" and offers {named} but not Basic, the only login that this program knows," if named.isprintable() else ""


def _is_of_proxy(error: BaseException) -> bool:
    """Tell whose TLS failed: both handshakes raise the same types, only the place of the raise differs."""
    return any(frame.name == "connect_http_proxy" for frame in extract_tb(error.__traceback__))


def _root(error: BaseException) -> BaseException:
    """Return what the operating system or OpenSSL raised, under the library's wrapping.

    A deadline's TimeoutError is the end of the chain: below it is only the cancellation that it turned into itself,
    and silence must never count as a handshake that the gateway cut.
    """
    seen = error
    while seen.__cause__ is not None and not isinstance(seen, TimeoutError):
        seen = seen.__cause__
        if isinstance(seen, ssl.SSLError):
            break
    return seen


def _retry_after(error: InvalidStatus) -> float:
    value = error.response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() and len(value) < 5 else 0.0


def _name(proxy: SecretStr | None) -> str:
    return "" if proxy is None else proxy_name(proxy)
