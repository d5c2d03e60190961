"""How a pool dials when somebody else decides about the addresses: exactly those, one after the other."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from http1.client import ClientPool
from http1.errors import FailureKind, Progress
from http1.messages import NO_BODY, RequestHead
from http1.origin import ClientLimits, DialAddress, Origin
from http1.sweep import Sweeper
from tests.support.fake_jira import make_certificate, server_context

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
GET = RequestHead(b"GET", b"/", [], NO_BODY)


class Receiver:
    """Waits for the end of one answer."""

    def __init__(self):
        self.outcome = asyncio.get_running_loop().create_future()

    def on_response(self, head):
        self.status = head.status

    def on_body(self, data):
        pass

    def on_end(self, trailers):
        self.outcome.set_result(self.status)

    def on_failure(self, failure):
        self.outcome.set_result((failure.kind, failure.progress))

    def on_writable(self):
        pass


@asynccontextmanager
async def server(host="127.0.0.1", answer=ANSWER):
    peers = []

    async def serve(reader, writer):
        peers.append(writer.get_extra_info("peername")[0])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(serve, host, 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1], peers


@asynccontextmanager
async def pool(port, resolve):
    made = ClientPool(Origin("jira.example", port, None, None, b"jira.example", None, resolve), Sweeper())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        yield made
        running.cancel()


def addresses(*rows):
    async def resolve(host, port):
        assert host == "jira.example"
        if isinstance(rows[0], Exception):
            raise rows[0]
        return [DialAddress(*row) if isinstance(row, tuple) else DialAddress(row, None) for row in rows]

    return resolve


async def get(made):
    receiver = Receiver()
    made.start(GET, receiver)
    async with asyncio.timeout(10):
        return await receiver.outcome


async def test_the_given_address_is_dialled_from_the_given_address():
    async with server() as (port, peers), pool(port, addresses(("127.0.0.1", "127.0.0.9"))) as made:
        assert await get(made) == 200
    assert peers == ["127.0.0.9"]


async def test_the_next_address_is_tried_when_one_refuses():
    async with server() as (port, _), pool(port, addresses("127.0.0.2", "127.0.0.3", "127.0.0.1")) as made:
        assert await get(made) == 200


async def test_an_address_that_is_silent_costs_its_share_of_the_time_only():
    class Silent(ClientPool):
        async def _dial(self, host, local_address):
            if host == "127.0.0.2":
                await asyncio.sleep(60)
            return await super()._dial(host, local_address)

    async with server() as (port, _):
        origin = Origin("jira.example", port, None, None, b"x", None, addresses("127.0.0.2", "127.0.0.1"))
        made = Silent(origin, Sweeper(), ClientLimits(connect_seconds=0.4))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(made.run())
            assert await get(made) == 200
            running.cancel()


async def test_when_all_refuse_nothing_was_sent():
    async with server() as (port, _):
        pass
    async with pool(port, addresses("127.0.0.1", "127.0.0.2")) as made:
        assert await get(made) == (FailureKind.UNREACHABLE, Progress.NOT_SENT)


async def test_a_refusal_of_the_resolver_is_unreachable_and_nothing_was_dialled():
    async with server() as (port, peers), pool(port, addresses(OSError(13, "not public"))) as made:
        assert await get(made) == (FailureKind.UNREACHABLE, Progress.NOT_SENT)
    assert peers == []


async def test_a_certificate_that_is_not_accepted_is_no_reason_to_try_another_address(tmp_path):
    files = make_certificate(tmp_path)
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=server_context(files.cert, files.key))
    dialled = []

    class Counting(ClientPool):
        async def _dial(self, host, local_address):
            dialled.append(host)
            return await super()._dial(host, local_address)

    async with listener:
        port = listener.sockets[0].getsockname()[1]
        resolve = addresses("127.0.0.1", "127.0.0.1")
        tls = ssl.create_default_context()
        made = Counting(Origin("jira.example", port, tls, "localhost", b"x", None, resolve), Sweeper())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(made.run())
            assert await get(made) == (FailureKind.TLS, Progress.NOT_SENT)
            running.cancel()
    assert dialled == ["127.0.0.1"]


async def test_what_is_started_before_run_waits_for_it():
    async with server() as (port, _):
        made = ClientPool(Origin("127.0.0.1", port, None, None, b"x"), Sweeper())
        receiver = Receiver()
        made.start(GET, receiver)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(made.run())
            assert await receiver.outcome == 200
            running.cancel()
        with pytest.raises(RuntimeError):
            made.start(GET, receiver)
