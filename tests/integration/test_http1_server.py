"""The front door's socket handling on real sockets: both event loops, plain and TLS, port 0."""

import asyncio
import contextlib
import datetime as dt
import ssl
from dataclasses import replace
from types import SimpleNamespace

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from http1.limits import Limits, OpenSockets
from http1.memory import NARROW_READ, PLAIN_READ, WIDE_READ
from http1.messages import NO_BODY, STREAMED
from http1.request_parser import RequestLimits
from http1.server import REQUESTS_PER_TURN, ServerProtocol
from http1.sweep import Sweeper

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
SECONDS = 10
BIG = 16 << 20
LEVELS = ((True, False, WIDE_READ), (False, False, PLAIN_READ), (False, True, NARROW_READ))  # of memory


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


class Receiver:
    """Collects one request, then lets the application's script answer."""

    def __init__(self, application, exchange):
        self.application = application
        self.exchange = exchange
        self.body = b""
        self.calls = []
        self.sizes = []  # of the pieces of the body
        self.gone = asyncio.Event()
        self.drained = asyncio.Event()

    def on_body(self, data):
        self.body += data
        self.sizes.append(len(data))
        self.calls.append("body")

    def on_body_end(self, trailers):
        self.trailers = trailers
        self.calls.append("end")
        if self.application.answer is not None:
            self.application.answer(self.exchange, self.body)

    def on_writable(self):
        self.calls.append("writable")
        self.drained.set()

    def on_disconnect(self):
        self.calls.append("disconnect")
        self.gone.set()


def echo(exchange, body):
    exchange.respond(200, [(b"X-Target", exchange.request.target)], len(body))
    exchange.write(body)
    exchange.finish()


class App:
    """An application driven by two optional scripts: `early` at the head, `answer` at the end of the request."""

    def __init__(self, answer=echo, early=None):
        self.answer = answer
        self.early = early
        self.receivers = []
        self.rejections = []
        self.begun = asyncio.Event()

    def begin(self, exchange):
        receiver = Receiver(self, exchange)
        self.receivers.append(receiver)
        self.begun.set()
        if self.early is not None:
            self.early(exchange)
            return None if exchange.is_over else receiver
        return receiver

    def reject(self, peer, rejection, request):
        assert peer == "127.0.0.1"
        self.rejections.append((rejection.rejection.name, None if request is None else request.target))
        body = rejection.rejection.name.encode()
        return 400, [(b"X-Rejected", b"yes")], body


QUICK = Limits(
    header_seconds=0.3, body_idle_seconds=0.3, keep_alive_seconds=0.3, write_stall_seconds=0.3, linger_idle_seconds=0.3
)


@contextlib.asynccontextmanager
async def serving(app, limits=None, tls=None, sockets=None):
    """Serve on a free port; yields (port, sockets)."""
    sweeper = Sweeper()
    sockets = sockets if sockets is not None else OpenSockets()
    limits = limits if limits is not None else Limits()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: ServerProtocol(app, limits, sweeper, sockets), "127.0.0.1", 0, ssl=tls[0] if tls else None
    )
    async with asyncio.TaskGroup() as group:
        sweeping = group.create_task(sweeper.run())
        try:
            yield server.sockets[0].getsockname()[1], sockets
        finally:
            server.close()
            sockets.abort()
            sweeping.cancel()


@contextlib.asynccontextmanager
async def dialled(port, tls=None):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls[1] if tls else None, server_hostname="localhost" if tls else None
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_of(reader, *, head=False):
    """Read one answer: (status line, lower-case header text, body)."""
    raw = await reader.readuntil(b"\r\n\r\n")
    line, _, fields = raw.partition(b"\r\n")
    fields = fields.lower()
    length = int(fields.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    return line, fields, b"" if head else await reader.readexactly(length)


async def talk(port, data, tls=None):
    """Send bytes, return everything until the server closes."""
    async with dialled(port, tls) as (reader, writer):
        writer.write(data)
        return await reader.read()


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_requests_on_one_socket_are_answered_in_order(run, tls, transport):
    tls = tls if transport == "tls" else None

    async def scenario():
        app = App()
        async with serving(app, tls=tls) as (port, _), dialled(port, tls) as (reader, writer):
            for body in (b"", b"x", b"y" * 1_000_000):
                writer.write(
                    b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), len(body), body)
                )
                line, fields, content = await answer_of(reader)
                assert (line, content) == (b"HTTP/1.1 200 OK", body)
                assert b"x-target: /%d\r\n" % len(body) in fields
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(3000)))
            for i in range(3000):
                assert b"x-target: /%d\r\n" % i in (await answer_of(reader))[1]
        assert app.receivers[0].calls == ["end"]

    run(scenario())


def test_pipelined_requests_wait_for_the_answer_before_them(run):
    async def scenario():
        app = App(answer=None)
        async with serving(app) as (port, _), dialled(port) as (reader, writer):
            writer.write(GET * 2 + b"GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            for number in range(3):
                await app.begun.wait()
                app.begun.clear()
                assert len(app.receivers) == number + 1
                echo(app.receivers[number].exchange, b"%d" % number)
            rest = await reader.read()
            assert rest.count(b"HTTP/1.1 200 OK") == 3
            assert rest.index(b"\r\n\r\n0") < rest.index(b"\r\n\r\n1") < rest.index(b"\r\n\r\n2")
            assert rest.count(b"Connection: close") == 1

    run(scenario())


def test_pipelined_bytes_are_bounded(run):
    async def scenario():
        app = App(answer=None)
        async with serving(app) as (port, sockets), dialled(port) as (_, writer):
            writer.write(GET)
            await app.begun.wait()
            writer.transport.set_write_buffer_limits(high=0)
            for _ in range(200):
                writer.write(GET * 4000)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await writer.drain()
            (protocol,) = sockets.open
            assert protocol._parser.waiting_bytes <= 64 * 1024 + 256 * 1024

    run(scenario())


def at_once(exchange):
    exchange.respond(401, [], 300)
    exchange.write(b"n" * 300)
    exchange.finish()


def test_answers_that_nobody_takes_stop_the_pipeline(run):
    async def scenario():
        app = App(early=at_once)
        async with serving(app) as (port, sockets), dialled(port) as (reader, writer):
            writer.write(GET)
            await answer_of(reader)
            reader._transport.pause_reading()
            (protocol,) = sockets.open
            writer.write(GET * 100_000)
            while protocol._writable:
                await asyncio.sleep(0)
            begun = len(app.receivers)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert len(app.receivers) == begun
            reader._transport.resume_reading()
            for _ in range(begun + 1000):
                assert (await answer_of(reader))[0] == b"HTTP/1.1 401 Unauthorized"

    run(scenario())


def test_many_requests_of_one_caller_leave_the_loop_to_others(run):
    async def scenario():
        app = App(early=at_once)
        async with serving(app) as (port, _), dialled(port) as (reader, writer):
            writer.write(GET * 2000)
            turns = 0
            while len(app.receivers) < 2000:
                turns += 1
                await asyncio.sleep(0)
            assert turns >= 2000 // (REQUESTS_PER_TURN + 1) - 1
            for _ in range(2000):
                assert (await answer_of(reader))[0] == b"HTTP/1.1 401 Unauthorized"

    run(scenario())


def streamed(exchange, body):
    exchange.respond(200, [], STREAMED)
    exchange.write(b"abc")
    exchange.finish([(b"X-Sum", b"1"), (b"Content-Length", b"9")])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"),
        (b"HEAD / HTTP/1.1\r\nConnection: close\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    ],
)  # fmt: skip
def test_a_body_of_unknown_length_is_framed_as_the_caller_understands(run, line, expected):
    async def scenario():
        async with serving(App(streamed)) as (port, _):
            assert await talk(port, line + b"Host: a\r\n\r\n") == expected

    run(scenario())


@pytest.mark.parametrize(
    ("method", "status", "body", "expected"),
    [
        (b"HEAD", 200, 3, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
        (b"HEAD", 200, NO_BODY, b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"GET", 204, NO_BODY, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", 204, 0, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", 304, 3, b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (b"GET", 201, NO_BODY, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", 299, 0, b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_answers_without_a_body_keep_the_socket_in_step(run, method, status, body, expected):
    def answer(exchange, _):
        exchange.respond(status, [], body)
        if body > 0:
            exchange.write(b"a" * body)
        exchange.finish()

    async def scenario():
        async with serving(App(answer)) as (port, _), dialled(port) as (reader, writer):
            request = method + b" / HTTP/1.1\r\nHost: a\r\n\r\n"
            writer.write(request * 2)
            assert await reader.readexactly(2 * len(expected)) == expected * 2

    run(scenario())


def test_http_1_0_keeps_the_socket_only_when_asked(run):
    async def scenario():
        async with serving(App()) as (port, _):
            assert (await talk(port, b"GET / HTTP/1.0\r\n\r\n")).count(b"Connection: close") == 1
            request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            both = await talk(port, request + b"GET / HTTP/1.0\r\n\r\n")
            assert both.count(b"200 OK") == 2
            assert both.count(b"Connection: keep-alive") == 1

    run(scenario())


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_a_bad_request_is_answered_once_and_the_socket_closes(run, tls, transport):
    tls = tls if transport == "tls" else None

    async def scenario():
        app = App()
        async with serving(app, QUICK, tls) as (port, _):
            bad = b"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc" + GET
            seen = await talk(port, GET + bad, tls)
        assert seen.count(b"HTTP/1.1") == 2
        assert seen.endswith(b"X-Rejected: yes\r\nContent-Length: 11\r\nConnection: close\r\n\r\nBAD_REQUEST")
        assert [receiver.exchange.request.target for receiver in app.receivers] == [b"/x"]
        assert app.rejections == [("BAD_REQUEST", None)]

    run(scenario())


def test_a_body_that_breaks_ends_its_exchange_with_a_rejection(run):
    async def scenario():
        app = App()
        async with serving(app) as (port, _):
            seen = await talk(
                port, b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
            )
        assert seen.endswith(b"BAD_REQUEST")
        assert app.receivers[0].calls in (["disconnect"], ["body", "disconnect"])
        assert app.rejections == [("BAD_REQUEST", b"/c")]

    run(scenario())


def test_a_body_beyond_the_cap_is_refused_declared_or_not(run):
    async def scenario():
        app = App()
        limits = replace(QUICK, request=RequestLimits(body_bytes=10))
        async with serving(app, limits) as (port, _):
            declared = await talk(port, b"POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
            streamed = await talk(
                port, b"POST /s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n"
            )
        assert declared.endswith(b"BODY_TOO_LARGE")
        assert streamed.endswith(b"BODY_TOO_LARGE")
        assert app.rejections == [("BODY_TOO_LARGE", b"/d"), ("BODY_TOO_LARGE", b"/s")]

    run(scenario())


def test_a_slow_head_gets_408_and_a_silent_socket_just_closes(run):
    async def scenario():
        app = App()
        async with serving(app, QUICK) as (port, _):
            assert (await talk(port, b"GET / HTTP/1.1\r\nHost:")).endswith(b"REQUEST_TIMEOUT")
            assert await talk(port, b"") == b""
            after_one = await talk(port, GET)
            assert after_one.count(b"HTTP/1.1") == 1
        assert app.rejections == [("REQUEST_TIMEOUT", None)]

    run(scenario())


def test_a_dribbled_head_does_not_extend_its_deadline(run):
    async def scenario():
        async with serving(App(), QUICK) as (port, _), dialled(port) as (reader, writer):
            for byte in b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 100:
                writer.write(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await reader.readuntil(b"REQUEST_TIMEOUT")
                        return
            pytest.fail("the head was awaited for ever")

    run(scenario())


def test_a_body_that_stops_gets_408_when_nothing_was_answered(run):
    async def scenario():
        app = App()
        async with serving(app, QUICK) as (port, _):
            seen = await talk(port, b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert seen.endswith(b"REQUEST_TIMEOUT")
        assert app.receivers[0].calls == ["body", "disconnect"]
        assert app.rejections == [("REQUEST_TIMEOUT", b"/p")]

    run(scenario())


def test_a_paused_body_is_not_the_callers_fault(run):
    async def scenario():
        app = App(early=lambda exchange: exchange.pause_body())
        async with serving(app, QUICK) as (port, _), dialled(port) as (reader, writer):
            writer.write(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
            await app.begun.wait()
            writer.write(b"abcdef")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.7):
                    await reader.read(1)
            assert app.receivers[0].calls == []
            app.receivers[0].exchange.resume_body()
            assert (await answer_of(reader))[2] == b"abcdef"

    run(scenario())


def test_expect_is_answered_only_when_the_application_wants_the_body(run):
    request = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

    def refuse(exchange):
        exchange.respond(401, [], 0)
        exchange.finish()

    async def scenario():
        async with serving(App()) as (port, _), dialled(port) as (reader, writer):
            writer.write(request)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await answer_of(reader))[2] == b"abc"
        async with serving(App(early=refuse)) as (port, _):
            refused = await talk(port, request)
            assert refused == b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    run(scenario())


def test_an_early_answer_survives_a_body_that_keeps_coming(run):
    def refuse(exchange):
        exchange.respond(403, [], 2)
        exchange.write(b"no")
        exchange.finish()

    async def scenario():
        async with serving(App(early=refuse)) as (port, _), dialled(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n")
            for _ in range(30):
                writer.write(b"x" * 1_000_000)
                await writer.drain()
            line, fields, body = await answer_of(reader)
            assert (line, body) == (b"HTTP/1.1 403 Forbidden", b"no")
            assert b"connection: close" in fields
            assert await reader.read() == b""

    run(scenario())


def test_an_early_answer_to_a_small_body_keeps_the_socket(run):
    def refuse(exchange):
        exchange.respond(403, [], 0)
        exchange.finish()

    async def scenario():
        async with serving(App(early=refuse)) as (port, _), dialled(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
            assert b"connection" not in (await answer_of(reader))[1]
            writer.write(b"def" + GET)
            assert (await answer_of(reader))[0] == b"HTTP/1.1 403 Forbidden"

    run(scenario())


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
def test_a_caller_that_hangs_up_is_noticed_at_once(run, how):
    async def scenario():
        app = App(answer=None)
        async with serving(app) as (port, sockets):
            async with dialled(port) as (_, writer):
                writer.write(GET)
                await app.begun.wait()
                if how == "half-close":
                    writer.write_eof()
                elif how == "reset":
                    writer.transport.abort()
                else:
                    writer.close()
                async with asyncio.timeout(1):
                    await app.receivers[0].gone.wait()
            app.receivers[0].exchange.respond(200, [], 0)
            app.receivers[0].exchange.finish()
            assert app.receivers[0].calls == ["end", "disconnect"]
            assert not sockets.open or how == "half-close"

    run(scenario())


@pytest.mark.parametrize("transport", ["plain", "tls"])
@pytest.mark.parametrize("body", [10, STREAMED])
def test_an_aborted_answer_cannot_be_taken_for_complete(run, tls, transport, body):
    tls = tls if transport == "tls" else None

    def answer(exchange, _):
        exchange.respond(200, [], body)
        exchange.write(b"abc")
        exchange.abort()

    async def scenario():
        async with serving(App(answer), tls=tls) as (port, _):
            seen = await talk(port, GET, tls)
        assert seen.endswith(b"abc" if body == 10 else b"3\r\nabc\r\n")

    run(scenario())


def test_an_aborted_answer_without_framing_is_a_reset(run):
    async def scenario():
        app = App(answer=None)
        async with serving(app) as (port, _), dialled(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await app.begun.wait()
            exchange = app.receivers[0].exchange
            exchange.respond(200, [], STREAMED)
            exchange.write(b"abc")
            await reader.readuntil(b"abc")
            exchange.abort()
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(scenario())


@pytest.mark.parametrize("content", [b"ab", b"abcd"])
def test_an_answer_of_another_length_than_declared_is_never_framed_as_complete(run, content):
    def answer(exchange, _):
        exchange.respond(200, [], 3)
        exchange.write(content)
        exchange.finish()

    async def scenario():
        async with serving(App(answer)) as (port, _):
            seen = await talk(port, GET)
        assert len(seen.partition(b"\r\n\r\n")[2]) < 3

    run(scenario())


@contextlib.asynccontextmanager
async def answered_slowly():
    """A caller with QUICK limits, and the receiver of its request: the answer has begun, and has no length."""
    app = App(answer=None)
    async with serving(app, QUICK) as (port, _), dialled(port) as (reader, writer):
        writer.write(GET)
        await app.begun.wait()
        app.receivers[0].exchange.respond(200, [], STREAMED)
        yield reader, app.receivers[0]


def test_a_slow_caller_pauses_the_application_and_a_stalled_one_is_cut_off(run):
    async def scenario():
        async with answered_slowly() as (reader, receiver):
            written = 0
            while receiver.exchange.writable:
                receiver.exchange.write(b"x" * 65536)
                written += 65536
                assert written < 32 * 1024 * 1024
            while not receiver.drained.is_set():
                await reader.read(1024 * 1024)
            assert receiver.exchange.writable
            while receiver.exchange.writable:
                receiver.exchange.write(b"x" * 65536)
            reader._transport.pause_reading()
            await receiver.gone.wait()
            assert receiver.calls[-1] == "disconnect"

    run(scenario())


def test_a_caller_that_takes_little_but_something_is_not_cut_off_whatever_is_sent_to_it_meanwhile(run):
    async def scenario():
        async with answered_slowly() as (reader, receiver):
            while receiver.exchange.writable:
                receiver.exchange.write(b"x" * 65536)
            receiver.exchange.write(bytes(BIG))  # what the tunnel still delivers when its caller is full
            for _ in range(15):
                await asyncio.sleep(QUICK.write_stall_seconds / 3)
                assert await reader.read(256 * 1024)
            assert receiver.calls == ["end"]

    run(scenario())


@pytest.mark.parametrize("with_tls", [False, True])
def test_an_application_that_waits_for_room_is_told_of_it_until_its_answer_is_out(run, tls, with_tls):
    async def scenario():
        app, contexts = App(answer=None), tls if with_tls else None
        async with serving(app, tls=contexts) as (port, _), dialled(port, contexts) as (reader, writer):
            writer.write(GET)
            await app.begun.wait()
            receiver = app.receivers[0]
            receiver.exchange.respond(200, [], BIG)
            await reader.readuntil(b"\r\n\r\n")
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(reader.readexactly(BIG))
                for _ in range(BIG // 65536):
                    receiver.drained.clear()
                    receiver.exchange.write(bytes(65536))
                    if not receiver.exchange.writable:
                        await receiver.drained.wait()
                receiver.exchange.finish()
            assert len(reading.result()) == BIG
            assert "writable" in receiver.calls

    run(scenario())


@pytest.mark.parametrize("ends", ["taken", "cut off", "given up"])
def test_what_a_caller_did_not_take_of_a_complete_answer_is_counted(run, ends):
    async def scenario():
        app = App(answer=None)
        async with serving(app) as (port, sockets), dialled(port) as (reader, writer):
            writer.write(GET)
            await app.begun.wait()
            exchange = app.receivers[0].exchange
            exchange.respond(200, [], BIG + (ends == "given up"))
            exchange.write(bytes(BIG))
            assert sockets.memory.waiting == 0  # as long as it is not over, whoever sent it counts it
            if ends == "given up":
                exchange.abort()
            else:
                exchange.finish()
            [served] = sockets.open
            assert sockets.memory.waiting == served._transport.get_write_buffer_size() > BIG // 2
            if ends != "cut off":
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(BIG)
            else:
                writer.transport.abort()
            while sockets.memory.waiting:
                await asyncio.sleep(0.01)

    run(scenario())


def test_a_read_brings_less_the_less_memory_there_is(run):
    async def scenario():
        app, memory = App(), SimpleNamespace(waiting=0)
        async with serving(app, sockets=OpenSockets(memory)) as (port, _), dialled(port) as (reader, writer):
            for memory.is_ample, memory.is_short, most in LEVELS:
                writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG + bytes(BIG))
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(BIG)
                assert most // 2 < max(app.receivers[-1].sizes) <= most

    run(scenario())


def test_the_cap_on_sockets_turns_newcomers_away(run):
    async def scenario():
        limits = replace(QUICK, max_connections=1, keep_alive_seconds=5)
        async with serving(App(), limits) as (port, sockets), dialled(port) as (reader, writer):
            writer.write(GET)
            await answer_of(reader)
            with contextlib.suppress(ConnectionResetError):
                assert await talk(port, GET) == b""
            assert sockets.refused == 1
            writer.write(GET)
            assert (await answer_of(reader))[0] == b"HTTP/1.1 200 OK"

    run(scenario())


def test_a_drain_closes_idle_sockets_and_lets_answers_finish(run):
    async def scenario():
        app = App(answer=None)
        async with serving(app) as (port, sockets), dialled(port) as (busy, busy_out), dialled(port) as (idle, _):
            busy_out.write(GET)
            await app.begun.wait()
            while len(sockets.open) < 2:
                await asyncio.sleep(0)
            sockets.drain()
            assert await idle.read() == b""
            echo(app.receivers[0].exchange, b"abc")
            assert b"connection: close" in (await answer_of(busy))[1]
            assert await busy.read() == b""
            assert not sockets.open

    run(scenario())
