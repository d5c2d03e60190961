"""The end of every upload: a server that reads a whole body before it answers (nginx answers without reading it)."""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

from bench.place import LOOPBACK, Place
from bench.processes import listens
from tests.support.ports import free_port
from tests.support.stack import Program, Stack, wait_until


class Sink(asyncio.Protocol):
    """Reads requests with Content-Length and answers 200 when the whole body is there."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, data = b"", rest
            length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0].strip() or b"0"
            self._left = int(length)
        self._left -= len(data)
        if self._left <= 0 and self._transport is not None:
            self._left = 0
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok")


async def serve_sink(address: str, port: int) -> None:
    """Serve the sink until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Sink, address, port)
    await server.serve_forever()


def sink(folder: Path, place: Place = LOOPBACK) -> tuple[Program, int]:
    """Start the sink as a process; return it and its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.sink", place.address, str(port)]
    program = place.run(command, folder / "sink.log", Stack.clean_environment())
    wait_until(lambda: listens(program.pid, port), "the sink listens")
    return program, port


if __name__ == "__main__":
    uvloop.run(serve_sink(sys.argv[1], int(sys.argv[2])))
