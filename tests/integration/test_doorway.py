"""Sockets through a load balancer, with real sockets and real TLS, on both event loops."""

import asyncio
import ipaddress
import socket
import struct
from contextlib import asynccontextmanager

import pytest
import uvloop

from gateway import doorway
from gateway.doorway import Doorway
from gateway.proxy_protocol import SIGNATURE
from gateway.trusted_proxies import TrustedProxies
from tests.support.fake_jira.tls import client_context, make_certificate, server_context

V4 = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack("!HH", 40000, 443)
LOOPBACK = TrustedProxies([ipaddress.ip_network("127.0.0.0/8")])


def header(command=0x21, content=V4):
    return SIGNATURE + bytes([command, 0x11]) + struct.pack("!H", len(content)) + content


class Echo(asyncio.Protocol):
    """Says whom it serves, then repeats what it hears."""

    def __init__(self, entrance):
        self.entrance = entrance

    def connection_made(self, transport):
        self.entrance().enter(transport, self)

    def admit(self, transport, caller):
        self.transport = transport
        transport.write(f"{caller}\n".encode())

    def data_received(self, data):
        self.transport.write(data)


@asynccontextmanager
async def listener(proxies, tls=None):
    async with asyncio.TaskGroup() as tasks:
        entrance = Doorway(proxies, lambda: tls, tasks.create_task)
        server = await asyncio.get_running_loop().create_server(lambda: Echo(lambda: entrance), "127.0.0.1", 0)
        async with asyncio.timeout(20):
            yield server.sockets[0].getsockname()[1]
        server.close()


@asynccontextmanager
async def dialled(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    def run(main):
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    return run


@pytest.mark.parametrize(
    ("proxies", "sent", "heard"),
    [
        (LOOPBACK, header() + b"hello", b"203.0.113.9\nhello"),
        (LOOPBACK, header(command=0x20) + b"hello", b"127.0.0.1\nhello"),
        (LOOPBACK, b"hello", b"127.0.0.1\nhello"),
        (TrustedProxies([]), b"hello", b"127.0.0.1\nhello"),
        (TrustedProxies([]), header() + b"hello", b"127.0.0.1\n" + header() + b"hello"),  # bytes like any others
    ],
)
def test_plain_bytes_follow_a_header_of_a_trusted_peer_only(run, proxies, sent, heard):
    async def main():
        async with listener(proxies) as port, dialled(port) as (reader, writer):
            writer.write(sent)
            assert await reader.readexactly(len(heard)) == heard

    run(main())


def test_a_header_may_come_in_parts(run):
    async def main():
        async with listener(LOOPBACK) as port, dialled(port) as (reader, writer):
            for offset in range(len(header())):
                writer.write(header()[offset : offset + 1])
                await asyncio.sleep(0.002)
            writer.write(b"hello")
            assert await reader.readexactly(17) == b"203.0.113.9\nhello"

    run(main())


@pytest.mark.parametrize("first", [header(), b""])
def test_tls_begins_behind_the_header(run, first, tmp_path):
    files = make_certificate(tmp_path)
    server, client = server_context(files.cert, files.key), client_context(files.ca)

    def speak(port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(first)
            with client.wrap_socket(plain, server_hostname="localhost") as secured:
                secured.sendall(b"hello")
                heard = b""
                while len(heard) < len(expected):
                    heard += secured.recv(100)
                return heard

    async def main():
        async with listener(LOOPBACK, server) as port:
            assert await asyncio.to_thread(speak, port) == expected

    expected = b"203.0.113.9\nhello" if first else b"127.0.0.1\nhello"
    for _ in range(20):  # whether header and handshake come in one piece is chance
        run(main())


@pytest.mark.parametrize("sent", [header(content=V4[:8]), header(command=0x11), SIGNATURE + b"\x21\x11\xff\xff"])
def test_a_broken_header_closes_the_socket(run, sent):
    async def main():
        async with listener(LOOPBACK) as port, dialled(port) as (reader, writer):
            writer.write(sent)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)

    run(main())


def test_a_peer_that_stays_silent_or_goes_away_is_forgotten(run, monkeypatch):
    monkeypatch.setattr(doorway, "HEADER_SECONDS", 0.1)

    async def main():
        async with listener(LOOPBACK) as port:
            async with dialled(port) as (reader, _):
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            async with dialled(port) as (_, writer):
                writer.write(SIGNATURE)
            assert len(asyncio.all_tasks()) < 5

    run(main())
