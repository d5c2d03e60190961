"""Two links over a real websocket, real TLS and loopback sockets, on both event loops."""

import asyncio
import ssl
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from tests.support.tunnel_pair import Recorder
from tunnel.budget import Budget
from tunnel.errors import CloseReason, ErrorCode, LinkClosed, Progress, StreamRefused
from tunnel.frames import KIB, FrameType, frame
from tunnel.heads import STREAMED, RequestHead, ResponseHead
from tunnel.link import SUBPROTOCOL, WEBSOCKET_OPTIONS, Link, Timings
from tunnel.session import Role, Session
from tunnel.sockets import socket_activity, tune_socket

GET = RequestHead(b"GET", b"/rest", [(b"Accept", b"*/*")])
PUT = RequestHead(b"PUT", b"/rest", [], STREAMED)
DEADLINE = 10
QUICK = Timings(hello=0.3, ping=0.1, dead=0.4, tick=0.05, farewell=0.2)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine on either loop, with a deadline."""

    def run_until_done(coroutine):
        async def bounded():
            async with asyncio.timeout(DEADLINE):
                await coroutine

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run_until_done


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """Server and client SSLContext around one self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(pem + key.private_bytes(serialization.Encoding.PEM, *formats))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem")
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client


class Echo(Recorder):
    """Answers a request with its own body when it is complete."""

    def on_end(self, trailers):
        super().on_end(trailers)
        self.stream.respond(ResponseHead(200, [], STREAMED))
        self.stream.send_data(self.body, end=True)


class Waiter(Recorder):
    """Knows when it was told its end."""

    def __init__(self, **options):
        super().__init__(**options)
        self.over = asyncio.Event()

    def on_end(self, trailers):
        super().on_end(trailers)
        self.over.set()

    def on_reset(self, *args):
        super().on_reset(*args)
        self.over.set()


class Rig:
    """A gateway's and an agent's link, both running."""

    def __init__(self):
        self.accepted = []
        self.settings = []
        self.ends = {}

    def accept(self, stream, _head):
        self.accepted.append(Echo(stream))
        return self.accepted[-1]

    def link(self, websocket, role, timings):
        session = Session(role, budget=Budget(), clock=time.monotonic, software=role.name)
        return Link(websocket, session, self.accept, on_settings=self.settings.append, timings=timings)

    async def carry(self, name, link):
        try:
            await link.run()
        except LinkClosed as closed:
            self.ends[name] = closed

    def open(self, head=GET, **options):
        receiver = Waiter(**options)
        receiver.stream = self.gateway.open_stream(head, receiver)
        return receiver


@asynccontextmanager
async def websockets_pair(contexts):
    """Both ends of one websocket."""
    arrived = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def on_connection(websocket):
        arrived.set_result(websocket)
        await leave.wait()

    options = {"subprotocols": [SUBPROTOCOL], **WEBSOCKET_OPTIONS}
    async with serve(on_connection, "127.0.0.1", 0, ssl=contexts[0], **options) as server:
        port = server.sockets[0].getsockname()[1]
        client = await connect(f"wss://127.0.0.1:{port}", ssl=contexts[1], proxy=None, **options)
        served = await arrived
        try:
            yield served, client
        finally:
            leave.set()
            served.transport.abort()
            client.transport.abort()


async def eventually(condition):
    while not condition():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def running(contexts, timings=Timings()):  # noqa: B008
    rig = Rig()
    async with websockets_pair(contexts) as (served, client), asyncio.TaskGroup() as tasks:
        rig.gateway = rig.link(served, Role.GATEWAY, timings)
        rig.agent = rig.link(client, Role.AGENT, timings)
        tasks.create_task(rig.carry("gateway", rig.gateway))
        tasks.create_task(rig.carry("agent", rig.agent))
        await eventually(lambda: rig.gateway.is_usable and rig.agent.is_usable)
        try:
            yield rig
        finally:
            rig.gateway.abort()
            rig.agent.abort()


def test_many_exchanges_at_once_come_back_whole(run, contexts):
    async def scenario():
        async with running(contexts) as rig:
            receivers = [rig.open(PUT) for _ in range(100)]
            for number, receiver in enumerate(receivers):
                receiver.stream.send_data(b"%d" % number * 1000, end=True)
            for number, receiver in enumerate(receivers):
                await receiver.over.wait()
                assert receiver.body == b"%d" % number * 1000
            assert rig.gateway.streams == rig.agent.streams == 0
            assert rig.gateway.bytes_in > 190_000
            assert rig.gateway.bytes_out > 190_000
            assert rig.gateway.software == "AGENT"
            assert rig.gateway.load == 0
            await eventually(lambda: rig.gateway.rtt is not None)

    run(scenario())


def test_a_receiver_that_does_not_consume_holds_its_window_and_stops_nobody(run, contexts):
    async def scenario():
        async with running(contexts) as rig:
            stuck = rig.open(PUT, consumes=False)
            stuck.stream.send_data(b"x" * 2048 * KIB, end=True)
            await eventually(lambda: rig.accepted and rig.accepted[0].calls[-1:] == [("end", [])])
            await eventually(lambda: len(stuck.body) == 256 * KIB)
            other = rig.open()
            await other.over.wait()
            assert len(stuck.body) == 256 * KIB
            assert rig.accepted[0].stream.is_choked
            stuck.consumes = True
            stuck.stream.consume(256 * KIB)
            await stuck.over.wait()
            assert len(stuck.body) == 2048 * KIB

    run(scenario())


def test_an_aborted_link_ends_every_stream_on_both_sides(run, contexts):
    async def scenario():
        async with running(contexts) as rig:
            receivers = [rig.open(PUT) for _ in range(20)]
            await eventually(lambda: len(rig.accepted) == 20)
            unsent = rig.open()
            rig.gateway.abort()
            await eventually(lambda: len(rig.ends) == 2)
            for receiver in receivers:
                assert receiver.calls[-1][:3] == ("reset", ErrorCode.LINK_LOST, Progress.SENT)
            assert unsent.calls[-1][:3] == ("reset", ErrorCode.LINK_LOST, Progress.NOT_SENT)
            assert all(accepted.calls[-1][1] is ErrorCode.LINK_LOST for accepted in rig.accepted)
            assert rig.ends["gateway"].reason is CloseReason.ABORTED
            assert rig.ends["agent"].reason is CloseReason.PEER_CLOSED
            with pytest.raises(StreamRefused):
                rig.open()

    run(scenario())


def test_draining_waits_for_open_streams_and_refuses_new_ones(run, contexts):
    async def scenario():
        async with running(contexts) as rig:
            receiver = rig.open(PUT)
            await eventually(lambda: rig.accepted)
            async with asyncio.TaskGroup() as tasks:
                drain = tasks.create_task(rig.gateway.drain(5))
                await eventually(lambda: rig.agent.draining)
                assert not drain.done()
                assert not rig.gateway.is_usable
                assert not rig.agent.is_usable
                receiver.stream.send_data(b"last words", end=True)
                await receiver.over.wait()
            assert receiver.body == b"last words"
            rig.gateway.abort()
            await eventually(lambda: len(rig.ends) == 2)
            assert rig.ends["agent"].reason is CloseReason.PEER_WENT_AWAY

    run(scenario())


def test_draining_gives_up_at_its_deadline(run, contexts):
    async def scenario():
        async with running(contexts) as rig:
            rig.open(PUT)
            started = time.monotonic()
            await rig.gateway.drain(0.1)
            assert 0.09 < time.monotonic() - started < 5
            assert rig.gateway.streams == 1

    run(scenario())


def test_settings_reach_the_other_side(run, contexts):
    async def scenario():
        async with running(contexts) as rig:
            rig.agent.announce({b"jira-url": b"https://jira"})
            await eventually(lambda: rig.settings)
            assert rig.settings == [{b"jira-url": b"https://jira"}]

    run(scenario())


def test_a_quiet_link_stays_alive_by_pings(run, contexts):
    async def scenario():
        async with running(contexts, QUICK) as rig:
            await asyncio.sleep(3 * QUICK.dead)  # longer than a silent link lives
            assert not rig.ends

    run(scenario())


@pytest.mark.parametrize("is_full", [False, True])
def test_a_frozen_peer_is_known_in_time(run, contexts, is_full):
    """Also when our write buffer is full, where websockets' own ping and close would wait for ever."""

    async def scenario():
        async with websockets_pair(contexts) as (served, client):
            rig = Rig()
            rig.gateway = rig.link(served, Role.GATEWAY, QUICK)
            await client.send(Session(Role.AGENT, budget=Budget(), clock=float).take_message())
            client.transport.pause_reading()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(rig.carry("gateway", rig.gateway))
                await eventually(lambda: rig.gateway.is_usable)
                if is_full:
                    for _ in range(200):
                        rig.gateway.announce({b"a": bytes(60 * KIB)})
                receiver = rig.open()
                started = time.monotonic()
                await task
            assert QUICK.dead / 2 < time.monotonic() - started < QUICK.dead + 1
            assert rig.ends["gateway"].reason is CloseReason.SILENT
            assert receiver.calls[-1][1] is ErrorCode.LINK_LOST

    run(scenario())


def test_a_peer_that_never_says_hello_is_left(run, contexts):
    async def scenario():
        async with websockets_pair(contexts) as (served, _client):
            rig = Rig()
            await rig.carry("gateway", rig.link(served, Role.GATEWAY, QUICK))
            assert rig.ends["gateway"].reason is CloseReason.NO_HELLO

    run(scenario())


@pytest.mark.parametrize("junk", [b"\4" * 10, "a text", frame(FrameType.PING, bytes(8))])
def test_a_peer_that_breaks_the_protocol_is_told_and_left(run, contexts, junk):
    async def scenario():
        async with websockets_pair(contexts) as (served, client):
            rig = Rig()
            await client.send(junk)
            await rig.carry("gateway", rig.link(served, Role.GATEWAY, Timings()))
            assert rig.ends["gateway"].reason is CloseReason.PEER_ERROR
            assert rig.ends["gateway"].code is ErrorCode.PROTOCOL_ERROR
            heard = b""
            with suppress(Exception):
                while True:
                    heard += await client.recv()
            assert FrameType.GOAWAY in heard

    run(scenario())


def test_a_cancelled_link_ends_its_streams_and_stays_cancelled(run, contexts):
    async def scenario():
        async with websockets_pair(contexts) as (served, client):
            rig = Rig()
            rig.gateway = rig.link(served, Role.GATEWAY, Timings())
            await client.send(Session(Role.AGENT, budget=Budget(), clock=float).take_message())
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(rig.gateway.run())
                await eventually(lambda: rig.gateway.is_usable)
                receiver = rig.open()
                task.cancel()
            assert task.cancelled()
            assert receiver.calls[-1][1] is ErrorCode.LINK_LOST

    run(scenario())


def test_the_kernel_knows_of_bytes_that_are_not_a_whole_message_yet(run, contexts):
    async def scenario():
        async with websockets_pair(contexts) as (served, client):
            before = socket_activity(served.transport)
            await asyncio.sleep(0.1)
            assert socket_activity(served.transport).silent_seconds >= before.silent_seconds + 0.09
            sent = time.monotonic()
            await client.send(bytes(1000))
            await served.recv()
            silent = socket_activity(served.transport).silent_seconds
            assert silent < time.monotonic() - sent + 0.01
            await eventually(lambda: socket_activity(client.transport).acked_bytes > 1000)
            client.transport.abort()
            await eventually(lambda: socket_activity(client.transport) is None)

    run(scenario())


def test_sockets_are_tuned_and_say_their_congestion_control(run, contexts):
    async def scenario():
        async with websockets_pair(contexts) as (served, client):
            for websocket in (served, client):
                assert tune_socket(websocket.transport.get_extra_info("socket"))

    run(scenario())
