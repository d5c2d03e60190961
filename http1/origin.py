"""Where requests go, within which bounds, and who hears of the answers."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from http1.errors import ClientFailure
from http1.messages import Headers, ResponseHead


class DialAddress(NamedTuple):
    """One address to dial: numeric, so that nothing is resolved again, and from where (None: the system's choice)."""

    address: str
    local_address: str | None


Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[DialAddress]]]
"""Host and port in, at least one address in order of preference out; raises OSError with a reason for people."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One upstream server.

    `host` is what is dialled, `host_header` what the server is told, `tls` None for plain HTTP. With `resolve` exactly
    the addresses that it returns are dialled, from the local addresses that it names, and `local_address` is not used.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    server_hostname: str | None
    host_header: bytes
    local_address: str | None = None
    resolve: Resolve | None = None


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds of a pool, in seconds and sockets.

    A socket that was idle for longer than a request's limit is not used for it: a healthy server may close an idle
    socket at any moment, and a write cannot be repeated, so it goes only where that is very unlikely
    (docs/contract.md §4).
    """

    connect_seconds: float = 5.0
    idle_seconds: float = 5.0
    idle_seconds_for_writes: float = 0.5
    max_idle: int = 256


class ResponseReceiver(Protocol):
    """Who hears of one answer. Synchronous; must not raise.

    Nothing is called after `on_end`, `on_failure` or `Call.abort`.
    """

    def on_response(self, head: ResponseHead) -> None:
        """The final head of the answer."""

    def on_body(self, data: bytes) -> None:
        """Bytes of its body. After `pause` up to one more read (http1.memory.WIDE_READ) may come."""

    def on_end(self, trailers: Headers) -> None:
        """The answer is complete; called exactly once, also when it has no body, unless `on_failure` came before."""

    def on_writable(self) -> None:
        """The request's body may be written again."""

    def on_failure(self, failure: ClientFailure) -> None:
        """There is no complete answer, and there will be none; last callback."""
