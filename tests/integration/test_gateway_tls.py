"""The certificate for callers is renewed in its files while the gateway runs. Real TLS."""

import asyncio
import contextlib
import ssl

import structlog

from runtime import watched_files
from tests.support.agent_identity import make_authority, write_server
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

REQUEST = b"GET /jira/hq/rest/api/2/myself HTTP/1.1\r\nHost: gateway\r\n\r\n"


def certificate_of(folder):
    """Return a pair of one file, and what trusts it and nothing else."""
    folder.mkdir(mode=0o700)
    pair, ca = write_server(folder, make_authority(), ["127.0.0.1"])
    return pair, ssl.create_default_context(cafile=str(ca))


@contextlib.asynccontextmanager
async def dialled(port, trust):
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def status(reader, writer):
    """Send one request on an open socket and return the answer's status; the body is read too."""
    writer.write(REQUEST)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1])


async def is_trusted(port, trust):
    try:
        async with dialled(port, trust) as (reader, writer):
            return await status(reader, writer) == 401
    except ssl.SSLCertVerificationError:
        return False


async def test_a_renewed_certificate_is_for_new_sockets_and_open_ones_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(watched_files, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(watched_files, "SETTLE_SECONDS", 0.02)
    pair, old = certificate_of(tmp_path / "old")
    renewed, new = certificate_of(tmp_path / "new")
    async with (
        running_gateway(tmp_path, api_cert_file=pair, api_key_file=pair) as stack,
        dialled(stack.port, old) as open_one,
    ):
        assert await status(*open_one) == 401
        assert not await is_trusted(stack.port, new)
        pair.write_bytes(renewed.read_bytes())
        async with asyncio.timeout(10):
            while not await is_trusted(stack.port, new):
                await asyncio.sleep(0.02)
        assert not await is_trusted(stack.port, old)
        assert await status(*open_one) == 401


async def test_sighup_reads_the_certificate_and_a_bad_one_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(watched_files, "POLL_SECONDS", 60.0)
    pair, old = certificate_of(tmp_path / "old")
    renewed, new = certificate_of(tmp_path / "new")
    async with running_gateway(tmp_path, api_cert_file=pair, api_key_file=pair) as stack:
        with structlog.testing.capture_logs() as logs:
            pair.write_text("half a certificate")
            stack.gateway.reload()
            assert await is_trusted(stack.port, old)
            pair.write_bytes(renewed.read_bytes())
            stack.gateway.reload()
            assert await is_trusted(stack.port, new)
        assert [each["event"] for each in logs if each["event"].startswith("certificate_")] == [
            "certificate_refused",
            "certificate_renewed",
        ]


async def test_sighup_reads_what_was_revoked(tmp_path):
    async with running_gateway(tmp_path) as stack:
        with structlog.testing.capture_logs() as logs:
            stack.gateway.reload()
        await until(lambda: "authority_reloaded" in str(logs))
