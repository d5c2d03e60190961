"""How a listener comes to its socket: it binds an address, or takes the socket that systemd holds there for it.

One home for binding, TLS and the errors of both. Knows nothing of what is spoken on the sockets.
"""

import asyncio
import ctypes
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from runtime.address import Address
from runtime.configuration import ConfigurationError, cannot_bind
from runtime.server_tls import HANDSHAKE_SECONDS, ServerTls

_SO_ATTACH_FILTER = 26  # linux/socket.h; the socket module has no name for it
_DROP_SYN = (  # classic BPF over the TCP header: code, jump if true, jump if false, operand
    (0x30, 0, 0, 13),  # the flags
    (0x54, 0, 0, 0x12),  # of these SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone:
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else take all of it
)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a listener listens. `variable` set the address; `held` is systemd's socket on it."""

    variable: str
    listen: Address
    held: socket.socket | None = None

    def options(self) -> dict[str, Any]:
        """Return the options of `loop.create_server` and its like: an address to bind, or a socket of its own."""
        if self.held is not None:
            return {"sock": self.held.dup()}  # closing the listener leaves systemd's, and who waits in it
        return {"host": self.listen.host, "port": self.listen.port}


def share(held: Iterable[socket.socket], wanted: Mapping[str, Address]) -> dict[str, Place]:
    """Return the place of every listener, by the variable that sets its address.

    The settings decide where the program listens, also for systemd: what is checked of an address (TLS, loopback) then
    holds for the sockets too.

    Raises:
        ConfigurationError: systemd holds a socket where no setting wants one.
    """
    sockets = {_address(each): each for each in held}
    places = {
        variable: Place(variable, listen, sockets.pop(_canonical(listen), None)) for variable, listen in wanted.items()
    }
    if sockets:
        left = next(iter(sockets))
        near = [place.variable for place in places.values() if place.held is None] or list(places)
        problem = f"does not name {left}, where the socket unit listens"
        raise ConfigurationError(near[0], problem, "make ListenStream= of the unit and this setting agree")
    return places


def drop_newcomers(descriptor: int) -> None:
    """Have the kernel drop SYN packets to a listening socket; where it cannot, nothing happens."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _DROP_SYN))
    with suppress(OSError, AttributeError), socket.socket(fileno=os.dup(descriptor)) as listening:
        listening.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(_DROP_SYN), ctypes.addressof(program))
        )


class Listener:
    """A listening socket and its TLS: `bind`, then `run`."""

    def __init__(self, place: Place, tls: ServerTls | None, backlog: int, *, handshakes: bool = True) -> None:
        """With `handshakes` false the protocols of the sockets do the TLS: something else comes before it."""
        self.place = place
        self._tls = tls
        self._handshakes = tls if handshakes else None
        self._backlog = backlog
        self._protocol: Callable[[], asyncio.BaseProtocol] | None = None
        self._server: asyncio.Server | None = None
        self.address: Address | None = None  # once bound

    def __repr__(self) -> str:
        return f"<Listener {self.place.listen} {'held by systemd' if self.place.held else ''}>"

    async def bind(self, protocol: Callable[[], asyncio.BaseProtocol]) -> Address:
        """Bind and return the address; nothing is accepted before `run`. `protocol` is asked per socket.

        Raises:
            ConfigurationError: the system refuses the address.
        """
        self._protocol = protocol
        self._server = await self._make_server(protocol)
        self.address = Address(*self._server.sockets[0].getsockname()[:2])
        return self.address

    async def run(self) -> None:
        """Accept sockets until cancelled; those that are open stay."""
        if self._server is None:
            raise RuntimeError("bind comes first")
        try:
            await self._server.start_serving()
            if self._tls is None:
                await asyncio.Event().wait()  # no deadline: this is the listener's whole life
            else:
                await self._tls.watch()
        finally:
            self.close()

    def renew(self) -> None:
        """Read the certificate's files again (SIGHUP)."""
        if self._tls is not None:
            self._tls.renew()

    def hold(self) -> bool:
        """Let new sockets wait in the kernel, and say whether that is possible: systemd has to listen meanwhile."""
        if self.place.held is None:
            return False
        self.close()
        return True

    def turn_away(self) -> None:
        """Let nobody in any more but who is at the door: closing would cut those off who have just connected.

        Whoever knocks now tries again by itself a second later, and is refused when the listener is closed by then.
        """
        if self._server is not None and self.place.held is None:
            for each in self._server.sockets:
                drop_newcomers(each.fileno())

    def close(self) -> None:
        """Accept nobody any more."""
        if self._server is not None:
            self._server.close()

    async def resume(self) -> None:
        """Accept again after `hold`."""
        if self.place.held is not None and self._protocol is not None:
            self._server = await self._make_server(self._protocol)
            await self._server.start_serving()

    async def _make_server(self, protocol: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
        tls = self._handshakes
        try:
            return await asyncio.get_running_loop().create_server(
                protocol,
                **self.place.options(),
                ssl=None if tls is None else tls.context,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_SECONDS,
                start_serving=False,
                backlog=self._backlog,
            )
        except OSError as error:
            raise cannot_bind(self.place.variable, self.place.listen, error) from None


def _address(listening: socket.socket) -> Address:
    return _canonical(Address(*listening.getsockname()[:2]))


def _canonical(address: Address) -> Address:
    try:
        return Address(str(ipaddress.ip_address(address.host)), address.port)
    except ValueError:
        return address  # a name: systemd's sockets have none
