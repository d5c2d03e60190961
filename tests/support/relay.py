"""A TCP relay between two of our processes that a test can cut, freeze and turn into a black hole.

    with Relay(stack.tunnel_port) as relay:      # dial relay.port instead
        relay.cut()                              # every socket now gets a reset

Synchronous threads: one accepts, two per connection copy. It understands nothing of what it carries.
"""

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

STEP = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relayed:
    """One connection through the relay."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near = near
        self.far = far
        self.flowing = threading.Event()
        self.flowing.set()
        self._directions = 2
        self._lock = threading.Lock()

    def cut(self) -> None:
        """Reset both sides at once."""
        for sock in (self.near, self.far):
            with suppress(OSError):  # it ended by itself
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                sock.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
        self._close()
        self.flowing.set()

    def freeze(self) -> None:
        """Carry nothing more, and tell neither side."""
        self.flowing.clear()

    def copy(self, source: socket.socket, sink: socket.socket) -> None:
        """Carry one direction until it ends."""
        try:
            while data := source.recv(STEP):
                self.flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
        with self._lock:
            self._directions -= 1
        if not self._directions:
            self._close()

    def _close(self) -> None:
        self.near.close()
        self.far.close()


class Relay:
    """Listens on a loopback port and connects everything that comes to `target_port`."""

    def __init__(self, target_port: int, greeting: bytes = b"") -> None:
        """`greeting` is sent to the target before anything else, as load balancers do (PROXY protocol)."""
        self.target_port = target_port
        self._greeting = greeting
        self.connections: list[Relayed] = []
        self.is_refusing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    @property
    def open(self) -> list[Relayed]:
        """The connections whose sockets are open."""
        return [each for each in self.connections if each.near.fileno() >= 0]

    def cut(self) -> None:
        """Reset every connection."""
        for each in self.connections:
            each.cut()

    def freeze(self) -> None:
        """Turn every connection into a black hole."""
        for each in self.connections:
            each.freeze()

    def refuse(self, is_refusing: bool = True) -> None:
        """From now on reset what connects (or no longer)."""
        self.is_refusing = is_refusing

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # the relay ends
            try:
                if self.is_refusing:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
                far.sendall(self._greeting)
            except OSError:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                near.close()
                continue
            far.settimeout(None)
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            relayed = Relayed(near, far)
            self.connections.append(relayed)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=relayed.copy, args=(source, sink), daemon=True).start()
