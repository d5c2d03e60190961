"""What the tunnel asks of its TCP sockets, and what the kernel tells of them. Linux; elsewhere it asks for less."""

import asyncio
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tunnel.frames import KIB

USER_TIMEOUT_MS: Final = 15_000
NOTSENT_LOWAT: Final = 64 * KIB


@dataclass(frozen=True, slots=True)
class SocketActivity:
    """What the kernel knows of a socket: how long it received no data, and how many sent bytes were acknowledged."""

    silent_seconds: float
    acked_bytes: int


def socket_activity(transport: asyncio.BaseTransport) -> SocketActivity | None:
    """Ask Linux (struct tcp_info); None where it cannot tell."""
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return None
    with suppress(OSError, ValueError):  # uvloop's socket raises ValueError once it is closed
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
        if len(info) == 128:  # tcpi_bytes_acked is there since Linux 4.1
            return SocketActivity(
                silent_seconds=int.from_bytes(info[52:56], sys.byteorder) / 1000,  # tcpi_last_data_recv
                acked_bytes=int.from_bytes(info[120:128], sys.byteorder),
            )
    return None


def tune_socket(sock: socket.socket) -> str | None:
    """Set what the tunnel needs on a TCP socket; returns the congestion control in force, None where it has none.

    bbr is worth 40 times of bulk at 0.5 % loss; an unprivileged process gets it only where the system lists it, so it
    is asked for silently.
    """
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", None), USER_TIMEOUT_MS),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", None), NOTSENT_LOWAT),
    ]
    for level, option, value in options:
        if option is not None:
            with suppress(OSError):
                sock.setsockopt(level, option, value)
    if not hasattr(socket, "TCP_CONGESTION"):
        return None
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
    with suppress(OSError):
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    return None


def restart_bbr(sock: socket.socket | None) -> None:
    """Let bbr look for the line's rate as on a new connection; without bbr nothing happens.

    From small answers it has learnt a rate that is far too low, and it raises that by a quarter in eight round trips:
    64 MiB after small answers took twice as long as on a new connection (docs/decisions/0026-long-lines.md).
    """
    if sock is None or not hasattr(socket, "TCP_CONGESTION"):
        return
    with suppress(OSError):
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"bbr":
            for name in (b"reno", b"bbr"):  # naming the one that is in force changes nothing
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
