"""Triggers and their events over the real API listener, relay, application and store."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

import pytest
import pytest_asyncio

from gateway import app
from gateway.events.feed import MAX_OF_ONE
from gateway.management import event_reading
from gateway.management.office import Office
from gateway.store import NewEvent, Scope, Settled, State
from runtime.exits import CommandFailed
from tests.support.caller import Caller
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = "/api/v1"
STREAM = [("Accept", "text/event-stream")]
STEPS = {
    "url": "http://hq.example/hooks/abc",
    "secret": None,
    "events": ["jira:issue_created"],
    "jql": None,
    "steps": ["Open the administration console."],
}
SETTLED = {"kind": "manual", "way": "lan", "note": "not an administrator", "problem": None, "manual": STEPS}


class Program(Caller):
    """A caller that speaks JSON to the management API."""

    async def ask(self, method, path, body=None, headers=()):
        fields = [*headers, ("Content-Type", "application/json")] if body is not None else list(headers)
        return await self.send(method, ROOT + path, fields, None if body is None else json.dumps(body).encode())

    async def must(self, method, path, body=None):
        answer = await self.ask(method, path, body)
        assert answer.status < 300, answer.body
        return answer.json() if answer.body else None


class World:
    """A running gateway whose events are made here."""

    def __init__(self):
        self.settled = SETTLED
        self.count = 0

    @property
    def log(self):
        return self.office.feed._log

    async def add(self, trigger, count=1, **fields):
        """Store events for a trigger; returns its new deliveries."""
        made = []
        for _ in range(count):
            self.count += 1
            event = {
                "connection": "hq",
                "occurrence": f"issue-created/{self.count}",
                "type": "jira:issue_created",
                "received_at": datetime.now(UTC),
                "triggers": (trigger,),
                "kept_for": frozenset({trigger}),
                "body": b'{\n "number": %d}' % self.count,
            }
            made += await self.log.add(NewEvent(**{**event, **fields}))
        return made

    async def trigger(self, name, **fields):
        """Add a trigger and return its number."""
        body = {"name": name, "connection": "hq", "events": ["jira:issue_created"], **fields}
        await self.admin.must("POST", "/triggers", body)
        return self.stack.gateway.directory.subscriptions.trigger(name).id

    async def program(self, *connections, scopes=("events",), **fields):
        return Program(
            self.stack.port, await self.stack.token(*connections, scopes=frozenset(map(Scope, scopes)), **fields)
        )


@asynccontextmanager
async def running_world(folder, **options):
    world = World()

    async def settle(arguments):
        if isinstance(world.settled, Exception):
            raise world.settled
        assert world.stack.gateway.directory.subscriptions.trigger(arguments["name"])
        return world.settled

    def office(**fields):
        fields["commands"] = {**fields["commands"], "settle-trigger": settle}
        world.office = Office(**fields)
        return world.office

    async with FakeJira() as jira:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app, "Office", office)
            async with running_gateway(folder, **options) as world.stack:
                await until(lambda: "management" not in world.stack.gateway.console.not_ready)
                await world.stack.enroll("hq", jira)
                await world.stack.connect("hq")
                await world.stack.connect("other", via="hq")
                world.admin = await world.program(scopes=("admin",), name="admin")
                yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triggers")
    async with running_world(folder) as world:
        yield world


@pytest.fixture
def admin(world):
    world.settled = SETTLED
    return world.admin


NEW = {"connection": "hq", "events": ["jira:issue_created"]}


class Stream:
    """Server-sent events as a client reads them."""

    def __init__(self, waiting):
        self._reader = waiting.reader
        self.text = b""

    async def event(self):
        """Return (id, type, envelope) of the next event; None at a clean end."""
        async with asyncio.timeout(20):
            while True:
                found = await self._block()
                if found is None:
                    return None
                fields = dict(line.split(": ", 1) for line in found.split("\n") if not line.startswith(":"))
                if "data" in fields:
                    return int(fields["id"]), fields["event"], json.loads(fields["data"])

    async def _block(self):
        while b"\n\n" not in self.text:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            self.text += (await self._reader.readexactly(size + 2))[:-2]
            if not size:
                return None
        block, _, self.text = self.text.partition(b"\n\n")
        return block.decode()


@asynccontextmanager
async def streaming(program, path, headers=()):
    async with program.open("GET", ROOT + path, [*STREAM, *headers]) as waiting:
        head = await waiting.head()
        assert head.status == 200
        assert head.header("Content-Type") == "text/event-stream"
        assert head.header("X-Request-ID")
        assert head.header("Cache-Control") == "no-store"
        yield Stream(waiting)


# Triggers


async def test_a_trigger_is_made_with_its_secret_once_and_what_is_to_be_done(admin):
    body = {
        "name": "made",
        "connection": "hq",
        "events": ["comment_created", "jira:issue_created"],
        "jql": "project = OPS",
    }
    made = await admin.must("POST", "/triggers", body | {"deliver_to": "https://ci.example.com/jira?key=k"})
    shown = await admin.ask("GET", "/triggers/made")

    assert made["secret"].startswith("whsec_")
    assert made == SETTLED | {"name": "made", "secret": made["secret"]}
    assert made["secret"].encode() not in shown.body
    view = shown.json()
    assert (view["events"], view["jql"]) == (["comment_created", "jira:issue_created"], "project = OPS")
    assert (view["wanted"], view["poll_seconds"], view["ordered"]) == (None, 10, False)
    assert view["counts"] == {"pending": 0, "delivered": 0, "dead": 0, "kept": 0}
    assert "made" in [row["name"] for row in (await admin.must("GET", "/triggers"))["items"]]


async def test_the_path_of_an_address_may_be_a_secret_and_who_may_change_nothing_learns_none(world, admin):
    address = "https://ci.example.com:8443/services/T00/canary-path?key=canary-query"
    await admin.must("POST", "/triggers", {**NEW, "name": "posted", "deliver_to": address})
    looker = await world.program(scopes=("admin",), read_only=True)
    listed = {row["name"]: row for row in (await looker.must("GET", "/triggers"))["items"]}
    shown = [listed["posted"], await looker.must("GET", "/triggers/posted")]
    assert [view["deliver_to"] for view in shown] == ["https://ci.example.com:8443/…"] * 2
    assert (await admin.must("GET", "/triggers/posted"))["deliver_to"] == address
    trail = await admin.ask("GET", "/audit")
    assert b"ci.example.com:8443" in trail.body
    assert b"canary" not in trail.body


async def test_without_an_address_there_is_no_secret_to_tell(admin):
    made = await admin.must("POST", "/triggers", {"name": "quiet", "connection": "hq", "events": ["comment_created"]})
    assert made["secret"] is None


async def test_the_secret_is_told_even_when_the_gateway_cannot_find_out_what_is_possible(world, admin):
    body = {"connection": "hq", "events": ["comment_created"], "deliver_to": "https://ci.example.com/"}
    world.settled = CommandFailed("Jira does not answer")
    failed = await admin.must("POST", "/triggers", {"name": "failed", **body})
    world.settled = KeyError("bug")
    crashed = await admin.must("POST", "/triggers", {"name": "crashed", **body})
    assert failed["secret"].startswith("whsec_")
    assert (failed["kind"], failed["problem"]) == (None, "Jira does not answer")
    assert crashed["secret"].startswith("whsec_")
    assert "not found out yet" in crashed["problem"]


@pytest.mark.parametrize(
    ("fields", "status", "problem"),
    [
        ({"events": ["issue_created"]}, 400, "did you mean jira:issue_created"),
        ({"events": []}, 400, "events"),
        ({"deliver_to": "http://10.0.0.1/"}, 400, "deliver_to"),
        ({"deliver_to": "https://u:p@x.example/"}, 400, "deliver_to"),
        ({"ordered": True}, 400, "ordered goes with deliver_to"),
        ({"poll_seconds": 0.5}, 400, "poll_seconds"),
        ({"kind": "polled", "way": "lan"}, 400, "way"),
        ({"kind": "none"}, 400, "kind"),
        ({"jql": "x" * 4097}, 400, "jql"),
        ({"connection": "nothing"}, 404, "connection"),
        ({"name": "made-twice"}, 409, "made-twice"),
    ],
)
async def test_a_trigger_that_breaks_a_rule_is_refused_in_the_words_of_the_api(admin, fields, status, problem):
    await admin.ask("POST", "/triggers", {"name": "made-twice", "connection": "hq", "events": ["comment_created"]})
    answer = await admin.ask(
        "POST", "/triggers", {"name": "wrong", "connection": "hq", "events": ["comment_created"], **fields}
    )
    assert answer.status == status, answer.body
    assert problem in answer.json()["errorMessages"][0]
    assert "--" not in answer.json()["errorMessages"][0]


async def test_a_rotated_secret_is_shown_once_and_the_old_one_signs_for_a_while(world, admin):
    first = await admin.must(
        "POST",
        "/triggers",
        {"name": "turning", "connection": "hq", "events": ["comment_created"], "deliver_to": "https://x.example/"},
    )
    second = await admin.must("POST", "/triggers/turning/rotate", {"overlap": "1h"})
    entry = world.stack.gateway.directory.subscriptions.trigger("turning")
    keys = [key.get_secret_value() for key in entry.secrets(datetime.now(UTC))]
    assert keys == [second["secret"], first["secret"]]
    assert (await admin.must("GET", "/triggers/turning"))["previous_until"] is not None
    assert (await admin.ask("POST", "/triggers/quiet/rotate", {})).status == 400


async def test_a_disabled_trigger_is_enabled_again(world, admin):
    await world.trigger("off", deliver_to="https://x.example/")
    async with world.stack.stored.store.change("test", datetime.now(UTC)) as change:
        await change.disable_trigger("off", "410 Gone")
    before = await admin.must("GET", "/triggers/off")
    await admin.must("POST", "/triggers/off/enable")
    after = await admin.must("GET", "/triggers/off")
    assert (before["state"], before["disabled_reason"]) == ("disabled", "410 Gone")
    assert after["disabled_at"] is None


async def test_events_are_sent_again_by_time_by_id_and_when_dead(world, admin):
    number = await world.trigger("again", deliver_to="https://x.example/")
    async with world.stack.stored.store.change("test", datetime.now(UTC)) as change:
        await change.disable_trigger("again", "nothing is to be sent meanwhile")
    await world.stack.apply()
    one, two, three = await world.add(number, 3, kept_for=frozenset())
    now = datetime.now(UTC)
    for delivery, state in ((one, State.DELIVERED), (two, State.DEAD), (three, State.DELIVERED)):
        world.log.settle(Settled(delivery.number, state, 10, None, 500, "It answered 500.", now))
    await world.add(number, kept_for=frozenset())
    page = await admin.must("GET", "/triggers/again/events")
    (dead,) = (await admin.must("GET", "/triggers/again/events?state=dead"))["items"]

    assert [row["state"] for row in page["items"]] == ["delivered", "dead", "delivered", "pending"]
    assert (dead["attempts"], dead["last_status"], dead["last_error"]) == (10, 500, "It answered 500.")
    by_id = {"ids": [page["items"][0]["event"]["id"], page["items"][2]["cursor"]]}
    assert await admin.must("POST", "/triggers/again/replay", by_id) == {"name": "again", "count": 2}
    assert await admin.must("POST", "/triggers/again/replay", {"dead": True}) == {"name": "again", "count": 1}
    assert await admin.must("POST", "/triggers/again/replay", {"since": "1h"}) == {"name": "again", "count": 4}
    assert await admin.must("POST", "/triggers/again/replay", {"since": "2100-01-01"}) == {"name": "again", "count": 0}
    assert (await admin.ask("POST", "/triggers/again/replay", {"ids": [f"evt_{'0' * 24}_1"]})).status == 404
    assert (await admin.ask("POST", "/triggers/again/replay", {"since": "1h", "ids": ["1"]})).status == 400
    assert (await admin.ask("POST", "/triggers/again/replay", {"dead": False})).status == 400
    assert (await admin.ask("POST", "/triggers/again/replay", {})).status == 400


async def test_what_is_only_fetched_is_not_sent_again(admin):
    answer = await admin.ask("POST", "/triggers/quiet/replay", {"since": "1h"})
    assert answer.status == 400
    assert "its events are fetched" in answer.json()["errorMessages"][0]


async def test_a_removed_trigger_is_gone(world, admin):
    await world.trigger("gone")
    assert (await admin.ask("DELETE", "/triggers/gone")).status == 204
    assert (await admin.ask("GET", "/triggers/gone")).status == 404
    assert (await admin.ask("GET", "/triggers/gone/events")).status == 404
    assert (await admin.ask("DELETE", "/triggers/gone")).status == 404


# Who may read


async def test_a_token_for_events_reads_those_of_its_connections_and_nothing_else(world):
    await world.trigger("readable")
    await world.trigger("foreign", connection="other")
    reader = await world.program("hq")
    missing = await reader.ask("GET", "/triggers/missing/events")
    foreign = await reader.ask("GET", "/triggers/foreign/events")

    assert (await reader.ask("GET", "/triggers/readable/events")).status == 200
    assert missing.outcome == foreign.outcome == (404, "not_found", "gateway", "no")
    assert missing.body.replace(b"missing", b"foreign").split(b"tunnel")[0] == foreign.body.split(b"tunnel")[0]
    for method, path in (
        ("GET", "/triggers"),
        ("GET", "/triggers/readable"),
        ("POST", "/triggers/readable/events"),
        ("POST", "/triggers"),
        ("DELETE", "/triggers/readable"),
        ("GET", "/tokens"),
        ("GET", "/nothing"),
        ("GET", "/openapi.json"),
    ):
        assert (await reader.ask(method, path)).outcome == (403, "forbidden", "gateway", "no"), path


@pytest.mark.parametrize("path", ["/triggers/readable/events", "/triggers/missing/events"])
async def test_others_learn_nothing_of_a_trigger(world, path):
    caller = await world.program("hq", scopes=("call",))
    assert (await caller.ask("GET", path)).outcome == (403, "forbidden", "gateway", "no")
    for token in ("", "jtg_unknown"):
        answer = await Program(world.stack.port, token).ask("GET", path)
        assert answer.outcome == (401, "unauthenticated", "gateway", "no")


async def test_a_read_only_token_reads_events(world):
    reader = await world.program("hq", read_only=True)
    assert (await reader.ask("GET", "/triggers/readable/events")).status == 200


# Pages


async def test_a_page_holds_envelopes_and_leads_on(world):
    number = await world.trigger("paged")
    reader = await world.program("hq")
    made = await world.add(number, 5)
    first = await reader.must("GET", "/triggers/paged/events?limit=3")
    second = await reader.must("GET", f"/triggers/paged/events?limit=3&after={first['next']}")
    third = await reader.must("GET", f"/triggers/paged/events?after={second['next']}")

    cursors = [row["cursor"] for row in first["items"] + second["items"]]
    assert cursors == [str(delivery.number) for delivery in made]
    assert (first["next"], second["next"]) == (cursors[2], cursors[4])
    assert third == {"items": [], "next": second["next"]}
    row = first["items"][0]
    assert (row["state"], row["attempts"], row["last_status"], row["next_at"]) == ("kept", 0, None, None)
    assert row["event"]["id"].startswith("evt_")
    assert (row["event"]["type"], row["event"]["trigger"]) == ("jira:issue_created", "paged")
    assert set(row["event"]["payload"]) == {"number"}


async def test_a_page_has_a_bound_in_bytes(world):
    number = await world.trigger("large")
    reader = await world.program("hq")
    await world.add(number, 5, body=b'"%s"' % (b"x" * 1_500_000))
    page = await reader.must("GET", "/triggers/large/events")
    assert len(page["items"]) == 2


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "wait=61", "limit=0", "limit=201", "state=lost", "state=", "colour=red"]
)
async def test_a_query_that_does_not_fit_is_refused(world, query):
    reader = await world.program("hq")
    assert (await reader.ask("GET", f"/triggers/paged/events?{query}")).status == 400


async def test_a_long_poll_is_answered_as_soon_as_there_is_something(world):
    number = await world.trigger("polled-long")
    reader = await world.program("hq")
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(reader.must("GET", "/triggers/polled-long/events?wait=20"))
        await until(lambda: world.office.feed.readers == 1)
        await world.add(number)
        started = monotonic()
        page = await asked
        spent = monotonic() - started
    assert len(page["items"]) == 1
    assert spent < 5, "and not when its twenty seconds are over"
    assert world.office.feed.readers == 0


async def test_a_long_poll_for_which_nothing_comes_is_empty_in_the_end(world):
    number = await world.trigger("silent")
    await world.add(await world.trigger("louder"))
    reader = await world.program("hq")
    (delivery,) = await world.add(number)
    started = monotonic()
    page = await reader.must("GET", f"/triggers/silent/events?after={delivery.number}&wait=1")
    assert page == {"items": [], "next": str(delivery.number)}
    assert 0.9 < monotonic() - started < 10


async def test_a_long_poll_whose_caller_hung_up_ends(world, monkeypatch):
    monkeypatch.setattr(event_reading, "CHECK_SECONDS", 0.05)
    reader = await world.program("hq")
    await world.trigger("left")
    async with reader.open("GET", f"{ROOT}/triggers/left/events?wait=60"):
        await until(lambda: world.office.feed.readers == 1)
    await until(lambda: world.office.feed.readers == 0)
    assert world.stack.gateway.local.readers == 0


# Streams


async def test_a_stream_brings_what_was_there_and_what_comes(world):
    number = await world.trigger("streamed")
    reader = await world.program("hq")
    before = await world.add(number, 3)
    async with streaming(reader, "/triggers/streamed/events") as stream:
        seen = [await stream.event() for _ in before]
        (late,) = await world.add(number, type="gap", occurrence="gap/1")
        seen.append(await stream.event())
    assert [cursor for cursor, _, _ in seen] == [delivery.number for delivery in [*before, late]]
    assert [kind for _, kind, _ in seen] == ["jira:issue_created"] * 3 + ["gap"]
    assert seen[0][2]["payload"]
    await until(lambda: world.stack.gateway.local.readers == 0)


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(world):
    number = await world.trigger("broken")
    reader = await world.program("hq")
    seen, last = [], []
    made = await world.add(number, 4)
    for _ in range(3):
        async with streaming(reader, "/triggers/broken/events?after=0", last) as stream:
            seen += [await stream.event() for _ in range(4)]
        last = [("Last-Event-ID", str(seen[-1][0]))]
        made += await world.add(number, 4)
    assert [cursor for cursor, _, _ in seen] == [delivery.number for delivery in made[:12]]


async def test_a_last_event_id_that_is_no_cursor_is_refused(world):
    reader = await world.program("hq")
    for text in ("x", "-1", "9" * 19):
        answer = await reader.ask("GET", "/triggers/broken/events", headers=[*STREAM, ("Last-Event-ID", text)])
        assert answer.status == 400


async def test_a_silent_stream_says_that_it_lives(world, monkeypatch):
    monkeypatch.setattr(event_reading, "COMMENT_SECONDS", 0.1)
    reader = await world.program("hq")
    await world.trigger("still")
    async with streaming(reader, "/triggers/still/events") as stream, asyncio.timeout(10):
        blocks = [await stream._block() for _ in range(3)]
    assert blocks == ["retry: 1000", ": still here", ": still here"]


async def test_a_stream_ends_when_its_token_is_revoked(world, monkeypatch):
    monkeypatch.setattr(event_reading, "CHECK_SECONDS", 0.1)
    number = await world.trigger("revoked")
    reader = await world.program("hq", name="short-lived")
    await world.add(number)
    async with streaming(reader, "/triggers/revoked/events") as stream:
        assert await stream.event()
        await world.admin.must("POST", "/tokens/short-lived/revoke")
        await world.add(number)
        assert await stream.event() is None


async def test_a_stream_ends_when_its_trigger_is_removed(world, monkeypatch):
    monkeypatch.setattr(event_reading, "CHECK_SECONDS", 0.1)
    await world.trigger("removed")
    reader = await world.program("hq")
    async with streaming(reader, "/triggers/removed/events") as stream:
        await until(lambda: world.office.feed.readers == 1)
        await world.admin.must("DELETE", "/triggers/removed")
        assert await stream.event() is None


async def test_a_reader_that_takes_nothing_does_not_make_the_gateway_hold_its_events(world, monkeypatch):
    """40 MB wait for it; what the sockets between us take is far less, and nothing is read that they do not take."""
    number = await world.trigger("slow")
    reader = await world.program("hq")
    body = b'"%s"' % (b"x" * 400_000)
    made = await world.add(number, 100, body=body)
    handed, usual = [], world.office.feed.read

    async def read(*words, **options):
        found = await usual(*words, **options)
        handed.extend(found)
        return found

    monkeypatch.setattr(world.office.feed, "read", read)
    async with streaming(reader, "/triggers/slow/events") as stream:
        seen, same = 0, 0
        while same < 20:
            seen, before = len(handed), seen
            same = same + 1 if seen == before else 0
            await world.admin.must("GET", "/tokens")
        assert 0 < seen < 60
        assert [(await stream.event())[0] for _ in made] == [delivery.number for delivery in made]


async def test_readers_have_a_bound_of_their_own(world, monkeypatch):
    monkeypatch.setattr(event_reading, "CHECK_SECONDS", 0.1)
    await world.trigger("crowded")
    readers = [await world.program("hq", name=f"reader{number}") for number in range(3)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        leave = asyncio.Event()

        async def stay(reader):
            async with streaming(reader, "/triggers/crowded/events"):
                await leave.wait()

        for reader in readers[:2]:
            before = world.office.feed.readers
            for _ in range(MAX_OF_ONE):
                tasks.create_task(stay(reader))
            await until(lambda: world.office.feed.readers >= before + MAX_OF_ONE)  # noqa: B023 - awaited at once
            greedy = await reader.ask("GET", "/triggers/crowded/events")
        refused = await readers[2].ask("GET", "/triggers/crowded/events")
        other = await world.admin.ask("GET", "/triggers/crowded")
        leave.set()
    assert greedy.outcome == (503, "overloaded", "gateway", "no")
    assert refused.outcome == (503, "overloaded", "gateway", "no")
    assert other.status == 200
    await until(lambda: world.office.feed.readers == 0)


async def test_at_the_gateways_stop_readers_are_sent_home_at_once(tmp_path):
    async with running_world(tmp_path) as world:
        await world.trigger("last")
        reader = await world.program("hq")
        async with asyncio.TaskGroup() as tasks, streaming(reader, "/triggers/last/events") as stream:
            polling = tasks.create_task(reader.must("GET", "/triggers/last/events?wait=60"))
            await until(lambda: world.office.feed.readers == 2)
            started = monotonic()
            world.office.feed.close()
            world.stack.gateway.local.drain()
            assert await stream.event() is None
            assert await polling == {"items": [], "next": "0"}
            spent = monotonic() - started
            late = await reader.ask("GET", "/triggers/last/events")
    assert spent < 10, "and not when their minute is over"
    assert late.outcome == (503, "draining", "gateway", "no")
