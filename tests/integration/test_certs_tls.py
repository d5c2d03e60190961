"""Real handshakes over loopback: who gets in, who does not, and what a reload changes.

In TLS 1.3 a client learns that its certificate was rejected only when it reads, so every test reads.
"""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from certs.ca import Authority, create_authority, sign_agent, sign_server
from certs.certificates import peer_identity, to_pem
from certs.csr import make_csr
from certs.errors import CertsError, PairMismatch
from certs.files import write_public
from certs.identity import AgentIdentity
from certs.keys import make_key, write_pair
from certs.tls import ServerFiles, TunnelTls, agent_context, unverified_context

HQ = AgentIdentity("hq", "a1")
HOSTS = ["localhost", "127.0.0.1"]
REJECTED = (ssl.SSLError, ConnectionError)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Both event loops bring their own TLS; what depends on it runs on each."""
    return request.param


@dataclass
class Gateway:
    """A listener that answers each peer with who it is."""

    directory: Path
    authority: Authority
    now: datetime

    def __post_init__(self):
        self.directory.mkdir(mode=0o700)
        self.files = ServerFiles(*(self.directory / name for name in ("s.pem", "s.pem", "ca.pem")))
        self.install(self.authority)
        self.trust(self.authority)
        self.tls = TunnelTls(self.files, self.now)

    def install(self, signer, hosts=HOSTS, sign=sign_server):
        key = make_key()
        write_pair(self.files.certificate, key, to_pem([sign(signer, make_csr(key), hosts, self.now)]))

    def trust(self, *authorities):
        write_public(self.files.ca_bundle, b"".join(each.pem for each in authorities))

    async def answer(self, reader, writer):
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.write(str(peer_identity(der)).encode() if der else b"nobody")
        with contextlib.suppress(*REJECTED):
            await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, ssl=self.tls.context)
        async with server:
            yield server.sockets[0].getsockname()[1]


@pytest.fixture
def now():
    return datetime.now(UTC)


@pytest.fixture
def authority(now):
    return create_authority(now)


@pytest.fixture
def gateway(tmp_path, authority, now):
    return Gateway(tmp_path / "gateway", authority, now)


@pytest.fixture
def enrolled(tmp_path, now):
    def make(authority, at=now, name="agent", identity=HQ, lifetime=None):
        path = tmp_path / "agents" / f"{name}.pem"
        key = make_key()
        write_pair(path, key, to_pem([sign_agent(authority, make_csr(key), identity, at, lifetime)]))
        return path

    return make


async def greeting(port, context, host="localhost"):
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()
            with contextlib.suppress(*REJECTED):
                await writer.wait_closed()


async def is_rejected(port, context, host="localhost"):
    """An alert, or the end of the stream without the greeting that everybody gets who is let in."""
    try:
        return await greeting(port, context, host) == ""
    except REJECTED:
        return True


async def test_an_enrolled_agent_is_known_by_its_certificate_by_name_and_by_address(gateway, authority, enrolled):
    async with gateway.listening() as port:
        for host in HOSTS:
            assert await greeting(port, agent_context(authority.pem, enrolled(authority)), host) == "hq/a1"


async def test_without_a_certificate_the_handshake_passes_and_the_peer_is_nobody(gateway, authority):
    async with gateway.listening() as port:
        assert await greeting(port, agent_context(authority.pem)) == "nobody"
        assert await greeting(port, unverified_context(), "anything.example") == "nobody"


async def test_agents_of_another_ca_or_with_expired_or_future_certificates_are_rejected(
    gateway, authority, enrolled, now
):
    cases = {
        "foreign": enrolled(create_authority(now), name="foreign"),
        "expired": enrolled(authority, now - timedelta(days=8), name="expired"),
        "future": enrolled(authority, now + timedelta(days=1), name="future"),
    }
    async with gateway.listening() as port:
        for path in cases.values():
            assert await is_rejected(port, agent_context(authority.pem, path))


async def test_a_server_certificate_does_not_make_an_agent(gateway, authority):
    async with gateway.listening() as port:
        assert await is_rejected(port, agent_context(authority.pem, gateway.files.certificate))


async def test_an_agent_refuses_a_gateway_of_another_ca(gateway, now):
    async with gateway.listening() as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeting(port, agent_context(create_authority(now).pem))


async def test_an_agent_refuses_a_gateway_by_another_name(gateway, authority):
    async with gateway.listening() as port:
        for host in ("gateway.example.com", "127.0.0.2"):
            with pytest.raises(ssl.SSLCertVerificationError):
                await greeting(port, agent_context(authority.pem), host)


async def test_an_agents_certificate_does_not_make_a_gateway(gateway, authority):
    gateway.install(authority, HQ, sign_agent)
    gateway.tls.reload(gateway.now)
    async with gateway.listening() as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeting(port, agent_context(authority.pem))


async def test_a_client_of_tls_1_2_is_refused(gateway):
    client = unverified_context()
    async with gateway.listening() as port:
        assert await greeting(port, client) == "nobody"
        client.minimum_version = ssl.TLSVersion.TLSv1_2
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await is_rejected(port, client)


async def test_a_server_of_tls_1_2_is_refused(gateway, authority):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(gateway.files.certificate)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    gateway.tls.context = server
    async with gateway.listening() as port:
        client = agent_context(authority.pem)
        assert await is_rejected(port, client)
        client.minimum_version = ssl.TLSVersion.TLSv1_2
        assert await greeting(port, client) == "nobody"


async def test_no_session_is_ever_handed_out(gateway, authority, enrolled):
    context = agent_context(authority.pem, enrolled(authority))
    async with gateway.listening() as port:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
            await reader.read()
        session = writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket
        writer.close()


async def test_a_renewed_certificate_serves_new_handshakes_and_leaves_old_sockets_alone(gateway, authority):
    context = agent_context(authority.pem)

    async def serial(writer):
        return writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]

    release = asyncio.Event()

    async def hold(reader, writer):
        await release.wait()
        writer.write(b"still here")
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0, ssl=gateway.tls.context)
    async with server, asyncio.timeout(5):
        port = server.sockets[0].getsockname()[1]
        old_reader, old = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        gateway.install(authority)
        gateway.tls.reload(gateway.now)
        new_reader, new = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        assert await serial(old) != await serial(new)
        release.set()
        assert await old_reader.read() == await new_reader.read() == b"still here"
        old.close()
        new.close()


async def test_a_reload_of_broken_files_keeps_the_old_ones_serving(gateway, authority, enrolled, now):
    context = agent_context(authority.pem, enrolled(authority))
    good = gateway.files.certificate.read_bytes()
    certificate = good[good.index(b"-----BEGIN CERTIFICATE") :]
    async with gateway.listening() as port:
        write_pair(gateway.files.certificate, make_key(), certificate)
        with pytest.raises(PairMismatch):
            gateway.tls.reload(now)
        assert await greeting(port, context) == "hq/a1"
        for path, content in ((gateway.files.certificate, b"cut"), (gateway.files.ca_bundle, b"")):
            path.write_bytes(content)
            with pytest.raises(CertsError):
                gateway.tls.reload(now)
            assert await greeting(port, context) == "hq/a1"


@pytest.mark.parametrize("host", HOSTS, ids=["with-sni", "by-address"])
def test_two_cas_overlap_and_a_removed_one_admits_nobody_any_more(run, gateway, authority, enrolled, now, host):
    new = create_authority(now)
    both = authority.pem + new.pem
    by_old, by_new = enrolled(authority, name="old"), enrolled(new, name="new")

    async def rotate():
        async with gateway.listening() as port:
            assert await is_rejected(port, agent_context(both, by_new), host)
            gateway.trust(authority, new)
            gateway.tls.reload(now)
            assert await greeting(port, agent_context(both, by_old), host) == "hq/a1"
            assert await greeting(port, agent_context(both, by_new), host) == "hq/a1"
            gateway.install(new)
            gateway.trust(new)
            gateway.tls.reload(now)
            assert await greeting(port, agent_context(both, by_new), host) == "hq/a1"
            assert await is_rejected(port, agent_context(both, by_old), host)

    run(rotate())
