"""The way out through a corporate proxy: CONNECT with and without credentials, and over TLS."""

import asyncio
import base64
from contextlib import asynccontextmanager, suppress

import pytest
from pydantic import SecretStr

from agent.dialer import Dialer
from agent.errors import Cause, DialError
from agent.identity import read_identity
from agent.routes import make_route
from tests.support.agent_identity import make_authority
from tests.support.fake_jira import make_certificate, server_context
from tests.support.mini_gateway import MiniGateway, agent_settings

CREDENTIALS = "Basic " + base64.b64encode(b"user:p@ss").decode()


class Proxy:
    """A CONNECT proxy that asks for credentials, and notes whom it connected."""

    def __init__(self, tls=None):
        self.tls = tls
        self.port = 0
        self.connected = []
        self.status = None

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()

    async def _serve(self, reader, writer):
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split()[1]
            if self.status or f"Proxy-Authorization: {CREDENTIALS}" not in head:
                writer.write(f"HTTP/1.1 {self.status or 407} No\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                writer.close()
                return
            self.connected.append(target)
            host, _, port = target.rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pump(reader, back))
                tasks.create_task(pump(there, writer))


async def pump(source, sink):
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@pytest.fixture
async def gateway(tmp_path):
    async with MiniGateway(tmp_path / "gateway", make_authority()) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def dialled(tmp_path, gateway, **options):
    settings = agent_settings(tmp_path, gateway, **options)
    dialer = Dialer(make_route(settings), "jira-agent/1")
    websocket = await dialer.dial(gateway.address, read_identity(settings.state_dir))
    websocket.transport.abort()
    await websocket.wait_closed()


async def test_the_gateway_is_dialled_through_the_proxy_with_its_credentials(tmp_path, gateway):
    async with Proxy().running() as proxy:
        await dialled(tmp_path, gateway, proxy_url=f"http://user:p%40ss@127.0.0.1:{proxy.port}")

    assert proxy.connected == [f"127.0.0.1:{gateway.port}"]


async def test_a_proxy_over_tls_is_verified_with_its_own_ca(tmp_path, gateway):
    files = make_certificate(tmp_path)
    async with Proxy(server_context(files.cert, files.key)).running() as proxy:
        url = f"https://user:p%40ss@127.0.0.1:{proxy.port}"
        await dialled(tmp_path, gateway, proxy_url=url, proxy_ca_file=files.ca)
        with pytest.raises(DialError, match="verification failed") as caught:
            await dialled(tmp_path, gateway, proxy_url=url)
    assert caught.value.cause is Cause.PROXY_UNTRUSTED  # not the gateway, whose handshake fails the same way

    assert proxy.connected == [f"127.0.0.1:{gateway.port}"]


@pytest.mark.parametrize(
    ("status", "cause"), [(None, Cause.PROXY_LOGIN), (403, Cause.PROXY_REFUSED), (503, Cause.PROXY_FAILED)]
)
async def test_a_refusal_of_the_proxy_is_told_as_such_and_without_the_password(tmp_path, gateway, status, cause):
    async with Proxy().running() as proxy:
        proxy.status = status
        with pytest.raises(DialError) as caught:
            await dialled(tmp_path, gateway, proxy_url=f"http://user:wrong-hunter2@127.0.0.1:{proxy.port}")

    assert caught.value.cause is cause
    assert f"127.0.0.1:{proxy.port} answered {status or 407}" in caught.value.reason
    assert "hunter2" not in str(caught.value)


async def test_a_proxy_that_is_not_there_is_told_as_such(tmp_path, gateway):
    with pytest.raises(DialError) as caught:
        await dialled(tmp_path, gateway, proxy_url=SecretStr("http://user:hunter2@127.0.0.1:1"))

    assert caught.value.cause is Cause.PROXY_UNREACHABLE
    assert "hunter2" not in str(caught.value)


async def test_an_exempted_gateway_is_dialled_directly(tmp_path, gateway, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    await dialled(tmp_path, gateway, proxy_url="http://127.0.0.1:1")
