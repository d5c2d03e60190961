"""Deliveries over real sockets and TLS, from the real log in SQLite: what a subscriber sees, and when."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from standardwebhooks import Webhook

from gateway.egress import Dialer, Egress
from gateway.events.deliverer import Deliverer
from gateway.events.event_log import EventLog
from gateway.events.subscribers import Subscribers
from gateway.settings import GatewaySettings
from gateway.store import NewEvent, Settled, State
from gateway.store.errors import StoreUnavailable
from gateway.store.event_store import open_event_store
from gateway.store.event_writing import Batch
from http1.sweep import Sweeper
from tests.support.fake_jira import make_certificate
from tests.support.subscriber import Answer, Subscriber
from tests.support.subscriptions import SIGNING, make_directory, make_hook, make_trigger

PROJECT = Path(__file__).resolve().parents[2]
LOOPBACK = (ip_network("127.0.0.0/8"),)


def now():
    return datetime.now(UTC)


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)  # a gateway that has been running for a while


class Sending:
    """The parts between a stored event and a subscriber's socket."""

    def __init__(self, store, settings):
        self.store = store
        self.log = EventLog(store)
        self.sweeper = Sweeper()
        self.dialer = Dialer(Egress({}), settings.allow_networks)
        self.subscribers = Subscribers(settings, self.dialer, self.sweeper, "jira-gateway/test")
        self.disabled = []
        self.triggers = []
        self.shift = timedelta()
        self.deliverer = Deliverer(self.log, self.subscribers, self.clock, lambda: 0.5, self.disable, LONG_AGO)

    def clock(self):
        return now() + self.shift

    async def disable(self, name, reason):
        self.disabled.append((name, reason))
        self.use(*(replace(row, disabled_at=now()) if row.name == name else row for row in self.triggers))

    def use(self, *triggers):
        self.triggers = triggers
        self.deliverer.use(make_directory(make_hook(), *triggers).subscriptions)

    def sleep(self, **span):
        """Let time pass."""
        self.shift += timedelta(**span)
        self.use(*self.triggers)

    async def add(self, *occurrences, triggers=(1,), issue="10001", body=None):
        async with asyncio.TaskGroup() as tasks:
            for occurrence in occurrences:
                event = NewEvent(
                    "hq", occurrence, "jira:issue_updated", self.clock(), triggers,
                    body or json.dumps({"n": occurrence}).encode(), None, issue,
                )  # fmt: skip
                tasks.create_task(self.log.add(event))

    async def states(self, trigger=1):
        return (await self.store.counts()).get(trigger, {})

    async def until(self, trigger=1, seconds=20, **counts):
        """Wait until the store holds these counts of states."""
        wanted = {State(name): count for name, count in counts.items()}
        async with asyncio.timeout(seconds):
            while await self.states(trigger) != wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def sending(tmp_path, *triggers, networks=LOOPBACK, **settings):
    made = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0", allow_networks=networks, **settings)
    async with open_event_store(tmp_path / "gateway.db") as store:
        parts = Sending(store, made)
        parts.use(*triggers)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(part.run()) for part in (parts.log, parts.sweeper, parts.subscribers, parts.deliverer)
            ]
            yield parts
            for one in reversed(running):
                one.cancel()


def to(subscriber, number=1, **fields):
    return make_trigger(number, f"t{number}", deliver_to=subscriber.url, **fields)


@pytest.fixture
def tls(tmp_path):
    return make_certificate(tmp_path)


async def test_an_event_arrives_signed_over_tls(tmp_path, tls):
    async with Subscriber(tls=tls) as subscriber, sending(tmp_path, to(subscriber), ca_file=tls.ca) as parts:
        await parts.add("changelog/1")
        await subscriber.wait_for(1)
        await parts.until(delivered=1)
    [got] = subscriber.received
    assert Webhook(SIGNING).verify(got.body, got.headers)["payload"] == {"n": "changelog/1"}
    assert (got.method, got.path) == ("POST", "/hook")
    assert (got.headers["user-agent"], got.headers["content-type"]) == ("jira-gateway/test", "application/json")
    assert got.headers["host"] == f"127.0.0.1:{subscriber.port}"
    assert got.document["id"] == got.headers["webhook-id"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500), "500 Internal Server Error"),
        (Answer(429), "429 Too Many Requests"),
        (Answer(302, {"Location": "/elsewhere"}), "redirects are not followed"),
        (Answer(200, body="half", cut=True), "The server closed"),
        (Answer(close=True), "The server closed"),
        (Answer(200, body="x" * 70_000), "larger than 65536 bytes"),
        (Answer(599), "It answered 599."),
    ],
)
async def test_what_is_no_whole_2xx_fails_and_goes_again_with_the_same_id(tmp_path, answer, error):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        subscriber.script = [answer]
        await parts.add("changelog/1")
        await subscriber.wait_for(1)
        async with asyncio.timeout(10):
            while not parts.deliverer.rows()[0]["failed"]:
                await asyncio.sleep(0.01)
        assert error in parts.deliverer.rows()[0]["last_error"]
        parts.sleep(seconds=6)
        await subscriber.wait_for(2)
        await parts.until(delivered=1)
        row = await parts.store.find(1, "changelog/1")
    assert (row.attempts, row.last_status, row.last_error) == (2, 200, None)
    one, two = subscriber.received
    assert (one.path, one.body, one.headers["webhook-id"]) == (two.path, two.body, two.headers["webhook-id"])


async def test_retries_come_when_the_schedule_says_and_retry_after_makes_them_later(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        subscriber.script = [Answer(500), Answer(503, {"Retry-After": "1000"})]
        await parts.add("changelog/1")
        for count, wait in ((1, 5), (2, 1000)):
            await subscriber.wait_for(count)
            await parts.until(pending=1)
            async with asyncio.timeout(10):
                while (row := await parts.store.find(1, "changelog/1")).attempts < count:
                    await asyncio.sleep(0.01)
            assert wait - 1 < (row.next_at - parts.clock()).total_seconds() <= wait
            parts.sleep(seconds=wait + 1)
        await parts.until(delivered=1)
    assert len(subscriber.received) == 3


async def test_gone_ends_the_delivery_and_disables_the_trigger(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        subscriber.script = [Answer(410)]
        await parts.add("changelog/1")
        await parts.until(dead=1)
        async with asyncio.timeout(10):
            while not parts.disabled:
                await asyncio.sleep(0.01)
        await parts.add("changelog/2")
        await parts.until(dead=1, pending=1)
        assert len(subscriber.received) == 1
        parts.use(to(subscriber))
        await parts.until(dead=1, delivered=1)
    assert parts.disabled == [("t1", "its subscriber answered 410 Gone: it wants no more events")]


async def test_a_wrong_certificate_is_a_failure_and_nothing_is_sent(tmp_path, tls):
    (tmp_path / "other").mkdir()
    for files, ca in (
        (tls, None),
        (make_certificate(tmp_path / "other", ("wrong.example",)), tmp_path / "other" / "cert.pem"),
    ):
        (tmp_path / str(ca is None)).mkdir()
        settings = {"ca_file": files.ca} if ca else {}
        async with (
            Subscriber(tls=files) as subscriber,
            sending(tmp_path / str(ca is None), to(subscriber), **settings) as parts,
        ):
            await parts.add("changelog/1")
            async with asyncio.timeout(10):
                while not parts.deliverer.rows()[0]["failed"]:
                    await asyncio.sleep(0.01)
            assert "certificate" in parts.deliverer.rows()[0]["last_error"]
        assert not subscriber.received


@pytest.mark.parametrize(
    ("networks", "scheme", "reason"),
    [
        ((), "https", "is not public"),
        ((), "http", "outside of JIRA_GATEWAY_ALLOW_NETWORKS"),
        ((ip_network("10.0.0.0/8"),), "http", "outside of JIRA_GATEWAY_ALLOW_NETWORKS"),
    ],
)
async def test_an_address_that_must_not_be_dialled_is_not(tmp_path, networks, scheme, reason):
    async with Subscriber() as subscriber:
        trigger = make_trigger(deliver_to=f"{scheme}://localhost:{subscriber.port}/?token=s3cr3t")
        async with sending(tmp_path, trigger, networks=networks) as parts:
            await parts.add("changelog/1")
            async with asyncio.timeout(10):
                while not parts.deliverer.rows()[0]["failed"]:
                    await asyncio.sleep(0.01)
            error = parts.deliverer.rows()[0]["last_error"]
    assert reason in error
    assert "s3cr3t" not in error
    assert subscriber.sockets == 0


async def test_a_subscriber_that_never_answers_delays_nobody_else(tmp_path):
    async with Subscriber() as dead, Subscriber() as healthy:
        dead.usual = Answer(silent=True)
        async with sending(tmp_path, to(dead, 1), to(healthy, 2)) as parts:
            await parts.add(*(f"changelog/{n}" for n in range(300)), triggers=(1, 2))
            await healthy.wait_for(300, seconds=10)
            await parts.until(trigger=2, delivered=300)
            assert (await parts.states())[State.PENDING] == 300
    assert len(dead.received) == 8


async def test_at_most_eight_at_a_time_and_one_while_it_fails(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        subscriber.usual = Answer(delay=0.02)
        await parts.add(*(f"changelog/{n}" for n in range(100)))
        await parts.until(delivered=100)
        assert subscriber.most_under_way == 8
        subscriber.usual = Answer(500)
        await parts.add(*(f"changelog/{n}" for n in range(100, 120)))
        async with asyncio.timeout(10):
            while parts.deliverer.rows()[0]["failures_in_a_row"] < 3:
                await asyncio.sleep(0.01)
        await parts.until(delivered=100, pending=20)
        before, subscriber.most_under_way = len(subscriber.received), 0
        subscriber.usual = Answer(500, delay=0.05)
        await subscriber.wait_for(before + 2)
        assert subscriber.most_under_way == 1
        assert parts.deliverer.rows()[0]["waiting"] == 0
        subscriber.usual = Answer()
        await parts.until(delivered=120)


async def test_when_the_subscriber_is_back_everything_that_waits_goes_at_once(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        subscriber.usual = Answer(503, {"Retry-After": "3600"})
        await parts.add(*(f"changelog/{n}" for n in range(8)))
        await subscriber.wait_for(8)
        subscriber.usual = Answer()
        await parts.add("changelog/8")
        await parts.until(delivered=9)


async def test_in_order_the_next_of_an_issue_waits_for_the_one_before(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber, ordered=True)) as parts:
        subscriber.script = [Answer(500)]
        await parts.add("changelog/0", issue="1")
        await subscriber.wait_for(1)
        for number in range(1, 20):
            await parts.add(f"changelog/{number}", issue="1")
            await parts.add(f"comment/{number}", issue="2")
        await parts.until(delivered=19, pending=20)
        assert [one.document["payload"]["n"] for one in subscriber.received[1:]] == [
            f"comment/{n}" for n in range(1, 20)
        ]
        parts.sleep(seconds=6)
        await parts.until(delivered=39)
        assert [one.document["payload"]["n"] for one in subscriber.received[20:]] == [
            f"changelog/{n}" for n in range(20)
        ]


async def test_what_others_make_due_is_noticed_with_the_next_version(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        await parts.add("changelog/1")
        await parts.until(delivered=1)
        async with asyncio.timeout(10):
            row = await parts.store.find(1, "changelog/1")
            await replay(parts.store, row)
            parts.use(*parts.triggers)
        await subscriber.wait_for(2, seconds=1)
        await parts.until(delivered=1)
    assert len(set(subscriber.ids)) == 1


async def replay(store, row):
    """As gateway.store.trigger_changes does it in a process of its own."""
    await store.write(Batch(settled=[Settled(row.number, State.PENDING, 0, now(), None, None, None)]))


async def test_pools_that_nobody_needs_any_more_end(tmp_path):
    async with Subscriber() as one, Subscriber() as other, sending(tmp_path, to(one, 1), to(other, 2)) as parts:
        await parts.add("changelog/1", triggers=(1, 2))
        await parts.until(trigger=2, delivered=1)
        await parts.until(delivered=1)
        assert parts.subscribers.servers == 2
        parts.use(to(other, 2))
        assert parts.subscribers.servers == 1
        await parts.add("changelog/2", triggers=(1, 2))
        await parts.until(trigger=2, delivered=2)


async def test_sockets_are_used_again(tmp_path):
    async with Subscriber() as subscriber, sending(tmp_path, to(subscriber)) as parts:
        for number in range(20):
            await parts.add(f"changelog/{number}")
            await subscriber.wait_for(number + 1)
        await parts.until(delivered=20)
    assert subscriber.sockets <= 3


async def write_nothing(batch):
    raise StoreUnavailable("gateway.db", "the process died")


@pytest.mark.parametrize("round_", range(3))
async def test_nothing_is_lost_when_it_ends_in_the_middle(tmp_path, round_):
    async with Subscriber() as subscriber:
        subscriber.usual = Answer(delay=0.005)
        wanted = [f"changelog/{n}" for n in range(400)]
        async with sending(tmp_path, to(subscriber)) as parts:
            await parts.add(*wanted)
            await subscriber.wait_for(50 + 37 * round_)
            parts.store.write = write_nothing  # what is not durable now never will be
        assert len(subscriber.received) < 400
        async with sending(tmp_path, to(subscriber)) as parts:
            await parts.until(delivered=400)
    assert {one.document["payload"]["n"] for one in subscriber.received} == set(wanted)


@pytest.mark.alone
async def test_ten_subscribers_one_of_them_dead_get_a_hundred_events_a_second_in_time(tmp_path):
    """2,000 events, each for all of them: from the moment it is stored until it is received."""
    async with asyncio.timeout(100):
        healthy = [Subscriber() for _ in range(9)]
        dead = Subscriber()
        dead.usual = Answer(silent=True)
        async with AsyncExitStack() as stack:
            for subscriber in (*healthy, dead):
                await stack.enter_async_context(subscriber)
            triggers = [to(subscriber, number) for number, subscriber in enumerate((*healthy, dead), 1)]
            numbers = tuple(range(1, 11))
            async with sending(tmp_path, *triggers) as parts:
                stored = {}
                loop = asyncio.get_running_loop()
                begun = loop.time()

                async def one(number):
                    name = f"changelog/{number}"
                    body = json.dumps({"n": name, "filling": "x" * 2000}).encode()
                    await parts.log.add(NewEvent("hq", name, "jira:issue_updated", now(), numbers, body))
                    stored[name] = now()

                async with asyncio.TaskGroup() as tasks:
                    for number in range(2000):
                        tasks.create_task(one(number))
                        await asyncio.sleep(max(0, begun + number / 100 - loop.time()))
                for subscriber in healthy:
                    await subscriber.wait_for(2000)
    late = sorted(
        (got.at - stored[got.document["payload"]["n"]]).total_seconds()
        for subscriber in healthy
        for got in subscriber.received
    )
    assert len(late) == 18_000
    assert late[17820] < 2, f"p50 {late[9000]:.3f} s, p99 {late[17820]:.3f} s, longest {late[-1]:.3f} s"


async def test_the_subscriber_is_a_process_too(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.subscriber", cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    try:
        found = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession() as client:
            async with client.put(found["control"] + "script", json=[{"status": 503}]) as answer:
                assert answer.status == 200
            async with sending(tmp_path, make_trigger(deliver_to=found["url"])) as parts:
                await parts.add("changelog/1")
                async with asyncio.timeout(10):
                    while not parts.deliverer.rows()[0]["failed"]:
                        await asyncio.sleep(0.01)
                parts.sleep(seconds=6)
                await parts.until(delivered=1)
            async with client.get(found["control"] + "received") as answer:
                received = await answer.json(content_type=None)
    finally:
        process.terminate()
        await process.wait()
    assert len({one["headers"]["webhook-id"] for one in received}) == 1
    assert len(received) == 2
