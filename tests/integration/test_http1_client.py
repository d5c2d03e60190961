"""The pool towards an upstream server on real sockets: both event loops, plain and TLS, against servers that behave and do not."""

import asyncio
import contextlib
import datetime as dt
import os
import socket
import ssl

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from http1.client import ClientLimits, ClientPool, Origin
from http1.errors import FailureKind, Progress, UnsendableHead
from http1.messages import NO_BODY, STREAMED, RequestHead
from http1.sweep import Sweeper

SECONDS = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine on one of the two event loops."""

    def run_on_loop(coroutine):
        with asyncio.Runner(loop_factory=request.param) as runner:

            async def bounded():
                async with asyncio.timeout(SECONDS):
                    return await coroutine

            return runner.run(bounded())

    return run_on_loop


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """Server and client contexts around a throw-away certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=path)


class Answer:
    """Collects one answer."""

    def __init__(self):
        self.done = asyncio.get_running_loop().create_future()
        self.head = None
        self.body = b""
        self.failure = None
        self.began = asyncio.Event()
        self.drained = asyncio.Event()

    def on_response(self, head):
        assert self.head is None
        self.head = head
        self.began.set()

    def on_body(self, data):
        self.body += data

    def on_end(self, trailers):
        self.trailers = trailers
        self.done.set_result(None)

    def on_writable(self):
        self.drained.set()

    def on_failure(self, failure):
        self.failure = failure
        self.done.set_result(None)


class Upstream:
    """A server that reads a request head and lets a script do the rest; counts sockets and remembers bytes."""

    def __init__(self, script, tls=None):
        self.script = script
        self.tls = tls
        self.sockets = 0
        self.requests = []
        self.writers = set()
        self.greeting = b""  # what it says before it has read anything

    async def serve(self, reader, writer):
        self.sockets += 1
        self.writers.add(writer)
        writer.write(self.greeting)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                if await self.script(reader, writer) == "close":
                    break
        self.writers.discard(writer)
        writer.close()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)  # lets the server's own tasks see the end


def answers(data, then=None):
    async def script(_, writer):
        writer.write(data)
        await writer.drain()
        return then

    return script


@contextlib.asynccontextmanager
async def pool_to(port, tls=None, limits=None, hostname="localhost", local=None):
    sweeper = Sweeper()
    origin = Origin("127.0.0.1", port, tls[1] if tls else None, hostname if tls else None, b"jira.local:8080", local)
    pool = ClientPool(origin, sweeper, limits)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sweeper.run()), group.create_task(pool.run())]
        await asyncio.sleep(0)
        try:
            yield pool
        finally:
            for task in tasks:
                task.cancel()


def get(pool, method=b"GET", body=NO_BODY, headers=()):
    answer = Answer()
    answer.call = pool.start(RequestHead(method, b"/rest/api/2/x?a=%22+b", list(headers), body), answer)
    return answer


async def fetch(pool, method=b"GET", content=None, headers=()):
    answer = get(pool, method, NO_BODY if content is None else len(content), headers)
    if content is not None:
        answer.call.write(content)
        answer.call.finish()
    await answer.done
    return answer


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_requests_arrive_as_written_and_share_a_socket(run, tls, transport):
    tls = tls if transport == "tls" else None

    async def scenario():
        async with Upstream(answers(OK), tls and tls[0]) as upstream, pool_to(upstream.port, tls) as pool:
            for _ in range(3):
                answer = await fetch(pool, headers=[(b"X-A", b"1"), (b"x-a", b"2")])
                assert (answer.head.status, answer.body, answer.call.progress) == (200, b"ok", Progress.ANSWERED)
            assert upstream.sockets == 1
            assert (pool.idle, pool.active) == (1, 0)
            assert (
                upstream.requests[0]
                == b"GET /rest/api/2/x?a=%22+b HTTP/1.1\r\nHost: jira.local:8080\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
            )

    run(scenario())


def test_parallel_requests_use_parallel_sockets(run):
    async def scenario():
        async with Upstream(answers(OK)) as upstream, pool_to(upstream.port) as pool:
            calls = [get(pool) for _ in range(5)]
            for answer in calls:
                await answer.done
            assert (upstream.sockets, pool.idle) == (5, 5)

    run(scenario())


@pytest.mark.parametrize("transport", ["plain", "tls"])
@pytest.mark.parametrize("framing", ["fixed", "chunked"])
def test_large_bodies_pass_both_ways_with_back_pressure(run, tls, transport, framing):
    tls = tls if transport == "tls" else None
    size = 8 * 1024 * 1024

    async def echo(reader, writer):
        if framing == "fixed":
            body = await reader.readexactly(size)
        else:
            body = b""
            while length := int(await reader.readline(), 16):
                body += await reader.readexactly(length)
                await reader.readexactly(2)
            await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(body)
        await writer.drain()

    async def scenario():
        content = bytes(range(256)) * (size // 256)
        async with Upstream(echo, tls and tls[0]) as upstream, pool_to(upstream.port, tls) as pool:
            answer = get(pool, b"POST", size if framing == "fixed" else STREAMED)
            sent = 0
            while sent < size:
                answer.call.write(content[sent : sent + 65536])
                sent += 65536
                if not answer.call.writable:
                    await answer.drained.wait()
                    answer.drained.clear()
            answer.call.finish()
            await answer.began.wait()
            answer.call.pause()
            so_far = len(answer.body)
            await asyncio.sleep(0.1)
            assert len(answer.body) <= so_far + 256 * 1024
            answer.call.resume()
            await answer.done
            assert answer.body == content

    run(scenario())


HOSTILE = {
    "TE xchunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "5,000 interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    "obs-fold": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "long head": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_answer_fails_the_call_and_its_socket(run, data):
    async def scenario():
        async with Upstream(answers(data)) as upstream, pool_to(upstream.port) as pool:
            answer = await fetch(pool)
            assert (answer.head, answer.failure.kind, answer.failure.progress) == (
                None,
                FailureKind.PROTOCOL,
                Progress.ANSWERED,
            )
            assert (pool.idle, pool.active) == (0, 0)

    run(scenario())


@pytest.mark.parametrize(
    ("data", "kind", "progress"),
    [
        (b"", FailureKind.CLOSED, Progress.SENT),
        (b"HTTP/1.1 20", FailureKind.PROTOCOL, Progress.ANSWERED),
        (b"HTTP/1.1 100 Continue\r\n\r\n", FailureKind.PROTOCOL, Progress.ANSWERED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", FailureKind.PROTOCOL, Progress.ANSWERED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", FailureKind.PROTOCOL, Progress.ANSWERED),
    ],
)
def test_a_server_that_closes_too_early_fails_the_call(run, data, kind, progress):
    async def scenario():
        async with Upstream(answers(data, then="close")) as upstream, pool_to(upstream.port) as pool:
            answer = await fetch(pool)
            assert (answer.failure.kind, answer.failure.progress) == (kind, progress)
            assert upstream.sockets == len(upstream.requests) == 1

    run(scenario())


def test_a_body_that_ends_with_the_stream_is_accepted_and_its_socket_is_not_reused(run):
    async def scenario():
        script = answers(b"HTTP/1.0 200 OK\r\n\r\nok", then="close")
        async with Upstream(script) as upstream, pool_to(upstream.port) as pool:
            answer = await fetch(pool)
            assert (answer.head.body, answer.body, answer.failure, pool.idle) == (STREAMED, b"ok", None, 0)

    run(scenario())


@pytest.mark.parametrize("surplus", [b"x", OK], ids=["a byte", "an answer"])
def test_bytes_behind_an_answer_end_the_socket_not_the_answer(run, surplus):
    async def scenario():
        async with Upstream(answers(OK + surplus)) as upstream, pool_to(upstream.port) as pool:
            first, second = await fetch(pool), await fetch(pool)
            assert (first.body, second.body) == (b"ok", b"ok")
            assert (upstream.sockets, pool.idle) == (2, 0)

    run(scenario())


def test_an_answer_before_the_request_is_complete_passes_and_closes_the_socket(run):
    async def scenario():
        script = answers(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        async with Upstream(script) as upstream, pool_to(upstream.port) as pool:
            answer = get(pool, b"POST", 1_000_000)
            answer.call.write(b"x")
            await answer.done
            assert (answer.head.status, answer.body, pool.idle, pool.active) == (413, b"no", 0, 0)
            answer.call.write(b"y" * 10)
            answer.call.finish()

    run(scenario())


def test_an_answer_before_the_server_has_taken_the_request_passes_and_closes_the_socket(run):
    written = asyncio.Event()

    async def answer_unread(_, writer):
        await written.wait()
        writer.write(OK)

    async def scenario():
        async with Upstream(answer_unread) as upstream, pool_to(upstream.port) as pool:
            size = 32 * 1024 * 1024
            answer = get(pool, b"POST", size)
            answer.call.write(b"x" * size)
            answer.call.finish()
            while not upstream.requests:
                await asyncio.sleep(0.01)
            written.set()
            await answer.done
            assert (answer.body, pool.idle, pool.active) == (b"ok", 0, 0)

    run(scenario())


def test_an_aborted_call_frees_the_server_at_once_and_hears_nothing(run):
    gone = asyncio.Event()

    async def hang(reader, _):
        assert await reader.read() == b""
        gone.set()
        return "close"

    async def scenario():
        async with Upstream(hang) as upstream, pool_to(upstream.port) as pool:
            answer = get(pool)
            while not upstream.requests:
                await asyncio.sleep(0.01)
            answer.call.abort()
            async with asyncio.timeout(1):
                await gone.wait()
            assert not answer.done.done()
            assert (pool.idle, pool.active) == (0, 0)

    run(scenario())


def test_a_call_aborted_while_connecting_is_never_sent(run):
    async def scenario():
        async with Upstream(answers(OK)) as upstream, pool_to(upstream.port) as pool:
            answer = get(pool, b"POST", 2)
            answer.call.abort()
            while not pool.idle:
                await asyncio.sleep(0.01)
            assert not answer.done.done()
            assert upstream.requests == []

    run(scenario())


def test_nobody_listening_is_unreachable_and_not_sent(run):
    async def scenario():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            async with pool_to(closed.getsockname()[1]) as pool:
                answer = await fetch(pool, b"POST", b"x")
                assert (answer.failure.kind, answer.failure.progress) == (FailureKind.UNREACHABLE, Progress.NOT_SENT)

    run(scenario())


def test_a_server_that_never_accepts_is_given_up_in_time(run, tls):
    async def scenario():
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen(1)
            async with pool_to(mute.getsockname()[1], tls, ClientLimits(connect_seconds=0.2)) as pool:
                answer = await fetch(pool)
                assert (answer.failure.kind, answer.failure.progress) == (FailureKind.UNREACHABLE, Progress.NOT_SENT)
                assert "0.2 s" in answer.failure.reason

    run(scenario())


@pytest.mark.parametrize("fault", ["untrusted", "name", "plain server"])
def test_tls_faults_are_told_apart_with_a_reason(run, tls, fault):
    trusting = (tls[0], ssl.create_default_context()) if fault == "untrusted" else tls
    hostname = "other" if fault == "name" else "localhost"

    async def scenario():
        async with Upstream(answers(OK), None if fault == "plain server" else tls[0]) as upstream:
            if fault == "plain server":
                upstream.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
            async with pool_to(upstream.port, trusting, hostname=hostname) as pool:
                answer = await fetch(pool)
                assert (answer.failure.kind, answer.failure.progress) == (FailureKind.TLS, Progress.NOT_SENT)
                expected = {"untrusted": "certificate", "name": "other", "plain server": "TLS"}[fault]
                assert expected in answer.failure.reason

    run(scenario())


def test_the_source_address_is_the_one_asked_for(run):
    seen = []

    async def script(_, writer):
        seen.append(writer.get_extra_info("peername")[0])
        writer.write(OK)

    async def scenario():
        async with Upstream(script) as upstream, pool_to(upstream.port, local="127.0.0.9") as pool:
            await fetch(pool)
        assert seen == ["127.0.0.9"]

    run(scenario())


def test_reads_reuse_a_socket_longer_than_writes_and_idle_ones_are_dropped(run):
    limits = ClientLimits(idle_seconds=0.6, idle_seconds_for_writes=0.1)

    async def scenario():
        async with Upstream(answers(OK)) as upstream, pool_to(upstream.port, limits=limits) as pool:
            await fetch(pool)
            await fetch(pool, b"POST", b"")
            assert upstream.sockets == 1
            await asyncio.sleep(0.2)
            await fetch(pool)
            assert upstream.sockets == 1
            await asyncio.sleep(0.2)
            await fetch(pool, b"PUT", b"")
            assert upstream.sockets == 2
            async with asyncio.timeout(2):
                while pool.idle:
                    await asyncio.sleep(0.05)

    run(scenario())


def test_a_socket_that_the_server_closed_is_never_used_again(run):
    """The server closes right before the next write is started: the event loop cannot have told of it yet."""

    async def scenario():
        async with Upstream(answers(OK)) as upstream, pool_to(upstream.port) as pool:
            for _ in range(200):
                answer = await fetch(pool, b"POST", b"")
                assert answer.failure is None
                for writer in list(upstream.writers):
                    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as handle:
                        handle.shutdown(socket.SHUT_RDWR)
            assert upstream.sockets == 200 == len(upstream.requests)

    run(scenario())


@pytest.mark.slow
def test_a_write_after_any_pause_to_a_server_with_an_idle_timeout_of_one_second_never_fails(run):
    """1,000 writes, after pauses on both sides of every limit involved."""
    pauses = [0.45, 0.49, 0.5, 0.51, 0.95, 0.98, 0.99, 0.995, 1.0, 1.005, 1.01, 1.02]

    async def closes_when_idle(reader, writer):
        writer.write(OK)
        async with asyncio.timeout(1):
            while not reader._buffer:
                await reader._wait_for_data("idle")

    async def caller(port, number):
        async with pool_to(port) as pool:
            for turn in range(20):
                answer = await fetch(pool, b"POST", b"")
                assert answer.failure is None
                await asyncio.sleep(pauses[(number + turn) % len(pauses)])

    async def scenario():
        async with Upstream(closes_when_idle) as upstream:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(caller(upstream.port, number))
            assert len(upstream.requests) == 1000
            assert upstream.sockets > 500

    run(scenario())


def test_the_end_of_the_pool_fails_what_is_under_way(run):
    async def hang(reader, _):
        await reader.read()
        return "close"

    async def scenario():
        async with Upstream(hang) as upstream:
            async with pool_to(upstream.port) as pool:
                answer = get(pool)
                while not upstream.requests:
                    await asyncio.sleep(0.01)
            await answer.done
            assert (answer.failure.kind, answer.failure.progress) == (FailureKind.CLOSED, Progress.SENT)

    run(scenario())


@pytest.mark.parametrize("content", [b"a", b"abc"])
def test_a_request_body_of_another_length_than_declared_fails_and_closes(run, content):
    async def scenario():
        async with Upstream(answers(b"")) as upstream, pool_to(upstream.port) as pool:
            answer = get(pool, b"POST", 2)
            answer.call.write(content)
            answer.call.finish()
            await answer.done
            assert answer.failure.kind is FailureKind.PROTOCOL

    run(scenario())


def test_a_head_that_would_split_into_two_is_refused_before_anything_is_sent(run):
    async def scenario():
        async with Upstream(answers(OK)) as upstream, pool_to(upstream.port) as pool:
            for headers in (
                [(b"A", b"b\r\nC: d")],
                [(b"A: b\r\nC", b"d")],
                [(b"Content-Length", b"5")],
                [(b"A", b"\0")],
            ):
                with pytest.raises(UnsendableHead):
                    get(pool, headers=headers)
            assert (pool.active, upstream.sockets) == (0, 0)

    run(scenario())
