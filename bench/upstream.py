"""The upstream of every measurement: nginx for answers, and a sink that reads a body before it answers."""

import asyncio
import shutil
import sys
from pathlib import Path

import uvloop

from tests.support.stack import Program, Stack, free_port, page, wait_until

SMALL_BYTES = 4096
BULK_BYTES = 256 * 1024 * 1024


def nginx(folder: Path) -> tuple[Program, int]:
    """Start nginx with a small and a bulk answer below /rest/api/2/; return it and its port."""
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    files = folder / "www" / "rest" / "api" / "2"
    files.mkdir(parents=True)
    folder.chmod(0o755)
    body = ('{"id":"10942","key":"OPS-42","text":"' + "x" * SMALL_BYTES)[: SMALL_BYTES - 2] + '"}'
    (files / "small").write_text(body)
    with (files / "bulk").open("wb") as bulk:
        bulk.truncate(BULK_BYTES)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
user root;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/www;
    location /rest/api/2/bulk {{ default_type application/octet-stream; }} }}
}}
"""
    )
    program = Program(
        [binary, "-c", str(configuration), "-p", str(folder)], {"PATH": "/usr/bin:/bin"}, folder / "nginx.log"
    )
    program.start()
    return program, port


class Sink(asyncio.Protocol):
    """Reads requests with Content-Length and answers 200 when the whole body is there."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

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


async def serve_sink(port: int) -> None:
    """Serve the sink until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


def sink(folder: Path) -> tuple[Program, int]:
    """Start the sink as a process; return it and its port."""
    port = free_port()
    program = Program(
        [sys.executable, "-m", "bench.upstream", str(port)], Stack.clean_environment(), folder / "sink.log"
    )
    program.start()
    wait_until(lambda: page(port, "/")[0] == 200, "the sink answers")
    return program, port


if __name__ == "__main__":
    uvloop.run(serve_sink(int(sys.argv[1])))
