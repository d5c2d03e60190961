"""A middlebox that ends TLS: it shows a certificate of its own CA, and carries what it reads to the gateway.

async with Interceptor(folder, authority, gateway.port) as box:     # dial box.port instead
    ...
box.seen                                                            # everything that clients said, in the clear
"""

import asyncio
import ssl
from contextlib import suppress

from tests.support.agent_identity import write_server

STEP = 64 * 1024


class Interceptor:
    """Listens on a loopback port. `carries` false: it answers itself, as one that knows no websockets."""

    def __init__(self, folder, authority, target_port, *, carries=True):
        folder.mkdir(mode=0o700)
        pair, _ = write_server(folder, authority, ["127.0.0.1", "localhost"])
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pair)
        self._target_port = target_port
        self._carries = carries
        self._sockets = set()
        self.seen = bytearray()
        self.port = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        for writer in self._sockets:
            if not writer.is_closing():  # Python before 3.11.3 cannot abort what was closed twice
                writer.transport.abort()
        await asyncio.sleep(0.05)  # their tasks end

    async def _serve(self, reader, writer):
        self._sockets.add(writer)
        with suppress(OSError, EOFError):
            if not self._carries:
                self.seen += await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\nConnection: close\r\n\r\nblocked\n")
                await writer.drain()
                writer.close()
                return
            anybody = ssl.create_default_context()
            anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
            there, onward = await asyncio.open_connection("127.0.0.1", self._target_port, ssl=anybody)
            self._sockets.add(onward)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, onward, self.seen))
                tasks.create_task(self._pump(there, writer, bytearray()))

    async def _pump(self, source, sink, seen):
        with suppress(OSError):
            while data := await source.read(STEP):
                seen += data
                sink.write(data)
                await sink.drain()
        sink.close()
