"""Webhooks at the agent over real sockets: taken, kept, carried, and what happens when one of the three fails."""

import asyncio
import json
import sqlite3
import ssl
import time
from contextlib import AsyncExitStack
from hashlib import sha256

import pytest
import structlog

from agent import event_courier, gap_watch, spool_file
from agent.app import Agent
from agent.spool_file import SpoolFile
from agent.webhook_listener import LIMITS
from runtime import watched_files
from runtime.exits import CommandFailed
from tests.support.agent_identity import make_authority, write_server
from tests.support.fake_jira import FakeJira
from tests.support.mini_gateway import MiniGateway, agent_settings, running, until

HOOK = "k" * 43
DIGEST = sha256(HOOK.encode()).hexdigest()


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
async def jira():
    async with FakeJira() as jira:
        yield jira


@pytest.fixture
async def gateway(tmp_path, authority):
    async with MiniGateway(tmp_path / "gateway", authority) as gateway:
        gateway.use_hooks(HOOK)
        yield gateway


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(gap_watch, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(event_courier, "LOOK_SECONDS", 0.02)


def listening(tmp_path, gateway, jira=None, **options):
    options = {"webhook_listen": "127.0.0.1:0", **options}
    return agent_settings(tmp_path, gateway, jira, **options)


async def ready(agent, hooks=1):
    """Return the agent's webhook part when it listens and knows its hooks."""
    service = await until(lambda: agent.board.service)
    await until(lambda: len(service.webhooks.hooks) == hooks and service.webhooks.address)
    return service.webhooks


async def post(webhooks, body=b"{}", *, hook=HOOK, query="", headers=(), method="POST", tls=None):
    """Return the status and the head of the answer."""
    address = webhooks.address
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    lines = [f"{method} /hooks/{hook}{query} HTTP/1.1", "Host: a", "Connection: close", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
    async with asyncio.timeout(10):
        head = (await reader.read()).decode()
    writer.close()
    return int(head.split()[1]), head


async def test_a_webhook_is_acknowledged_and_carried_with_all_that_belongs_to_it(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        headers = ["Content-Type: application/json; charset=UTF-8", "X-Hub-Signature: sha256=00", "Cookie: a=b"]
        headers += ["X-Atlassian-Webhook-Identifier: 77", "User-Agent: Atlassian HttpClient", "Accept: */*"]
        status, head = await post(webhooks, b'{"a":1}', query="?user_id=x&user_key=y", headers=headers)
        await until(lambda: gateway.events)
        await until(lambda: not webhooks.spool.contents.records)

    [event] = gateway.events
    assert status == 204
    assert "Content-Length" not in head
    assert (event.head.method, event.head.target) == (b"POST", f"/v1/events/{DIGEST}".encode())
    assert (event.body, event.head.body) == (b'{"a":1}', 7)
    assert event.head.meta[b"query"] == b"user_id=x&user_key=y"
    assert len(event.event_id) == 32
    assert int(event.head.meta[b"received-at"]) <= int(event.head.meta[b"sent-at"])
    assert {name for name, _ in event.head.headers} == {
        b"Content-Type", b"X-Hub-Signature", b"X-Atlassian-Webhook-Identifier", b"User-Agent",
    }  # fmt: skip
    assert event.head.headers[0] == (b"Content-Type", b"application/json; charset=UTF-8")


async def test_an_empty_webhook_is_one_too(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        statuses = [(await post(webhooks, body))[0] for body in (b"", None)]
        await until(lambda: len(gateway.events) == 2)

    assert statuses == [204, 204]
    assert [event.body for event in gateway.events] == [b"", b""]


async def test_the_gateway_hears_where_jira_reaches_the_agent(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        await until(lambda: gateway.news)

    assert gateway.news[-1][b"webhook-url"] == f"http://{webhooks.address}".encode()


async def test_what_is_no_webhook_of_ours_is_refused_and_leaves_nothing(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        unknown, _ = await post(webhooks, b"x" * 300_000, hook="u" * 43)
        odd, _ = await post(webhooks, hook=f"{HOOK}/x")
        method, head = await post(webhooks, None, method="GET")
        large, _ = await post(webhooks, b"x" * (10 << 20) + b"y")

        assert (unknown, odd, method, large) == (404, 404, 405, 413)
        assert "Allow: POST" in head
        assert webhooks.tally.refused == {"unknown_hook": 2, "method": 1, "too_large": 1}
        assert webhooks.tally.received == 0
        assert not gateway.events


async def test_an_unknown_hook_is_refused_before_its_body(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        reader, writer = await asyncio.open_connection(webhooks.address.host, webhooks.address.port)
        writer.write(b"POST /hooks/unknown HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_204_comes_only_when_the_webhook_is_on_the_disk(tmp_path, gateway, jira, monkeypatch):
    may_write = asyncio.Event()
    loop = asyncio.get_running_loop()
    write = SpoolFile.write

    def held(self, changes):
        if changes.appends:
            asyncio.run_coroutine_threadsafe(may_write.wait(), loop).result(10)
        return write(self, changes)

    monkeypatch.setattr(SpoolFile, "write", held)
    gateway.verdict = lambda asked: None
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        async with asyncio.TaskGroup() as tasks:
            posted = tasks.create_task(post(webhooks))
            await until(lambda: webhooks.spool._pending_bytes)
            done, _ = await asyncio.wait([posted], timeout=0.2)
            assert not done
            may_write.set()
        assert posted.result()[0] == 204


async def test_webhooks_are_taken_before_there_is_a_gateway_and_carried_in_order(tmp_path, gateway, jira):
    settings = listening(tmp_path, gateway, jira)
    async with running(settings) as agent:
        await ready(agent)
    await gateway.stop()
    async with running(settings) as agent:  # knows its hooks from the run before
        webhooks = await ready(agent)
        for number in range(20):
            assert (await post(webhooks, b"%d" % number))[0] == 204
        assert webhooks.spool.contents.records >= 20
        await gateway.start()
        await until(lambda: len(gateway.events) == 20, seconds=20)

    assert [event.body for event in gateway.events] == [b"%d" % number for number in range(20)]


async def test_a_killed_agent_loses_nothing_and_says_when_it_was_away(tmp_path, gateway, jira):
    settings = listening(tmp_path, gateway, jira)
    gateway.verdict = lambda asked: None
    agent = Agent(settings, lambda: settings)
    async with asyncio.TaskGroup() as tasks:
        running_agent = tasks.create_task(agent.run())
        webhooks = await ready(agent)
        for number in range(5):
            await post(webhooks, b"%d" % number)
        await until(lambda: webhooks.spool.contents.records >= 5)
        running_agent.cancel()
    before = {event.event_id for event in gateway.events}
    gateway.asked.clear()
    gateway.verdict = lambda asked: 204
    async with running(settings):
        await until(lambda: len(gateway.events) == 5 and gateway.gaps, seconds=20)

    assert [event.body for event in gateway.events] == [b"0", b"1", b"2", b"3", b"4"]
    assert before <= {event.event_id for event in gateway.events}
    gap = json.loads(gateway.gaps[0].body)
    assert gap["cause"] == "agent"
    assert 0 <= gap["to"] - gap["from"] < 20_000
    assert b"received-at" not in gateway.gaps[0].head.meta


async def test_a_lost_answer_brings_the_same_event_again(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        gateway.verdict = lambda asked: None
        await post(webhooks, b"once")
        await until(lambda: gateway.events)
        gateway.verdict = lambda asked: 204
        gateway.links[0].abort()
        await until(lambda: len(gateway.events) == 2, seconds=20)
        await until(lambda: not webhooks.spool.contents.records)

    assert len({event.event_id for event in gateway.events}) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "unknown_hook"), (403, "bad_signature"), (400, "bad_request"), (413, "too_large")],
)
async def test_what_no_gateway_will_take_is_dropped_and_counted(tmp_path, gateway, jira, status, reason):
    gateway.verdict = lambda asked: status
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        await post(webhooks)
        await until(lambda: webhooks.tally.dropped[reason] == 1 and not webhooks.spool.contents.records)
        metrics = agent.metrics.page.render()

    assert f'jira_agent_events_dropped_total{{reason="{reason}"}} 1' in metrics


async def test_any_other_answer_is_tried_again(tmp_path, gateway, jira):
    answers = iter([503, 500, 200])
    gateway.verdict = lambda asked: next(answers, 204)
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        await post(webhooks)
        await until(lambda: webhooks.tally.carried == 1, seconds=20)

    assert [event.answered for event in gateway.events] == [503, 500, 200, 204]


async def test_one_that_no_gateway_can_digest_does_not_hold_up_the_others(tmp_path, gateway, jira):
    gateway.verdict = lambda asked: 500 if asked.body == b"poison" else 204
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        await post(webhooks, b"poison")
        for number in range(50):
            await post(webhooks, b"%d" % number)
        await until(lambda: webhooks.tally.carried == 50)
        assert webhooks.spool.contents.records == 1


async def test_a_large_webhook_is_carried(tmp_path, gateway, jira):
    body = bytes(range(256)) * (10 << 12)
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        assert (await post(webhooks, body))[0] == 204
        await until(lambda: gateway.events)

    assert gateway.events[0].body == body


async def test_a_full_spool_refuses_recovers_and_leaves_a_gap(tmp_path, gateway, jira):
    gateway.verdict = lambda asked: None
    async with running(listening(tmp_path, gateway, jira, spool_max_bytes=1 << 20)) as agent:
        webhooks = await ready(agent)
        statuses = [(await post(webhooks, b"x" * 400_000))[0] for _ in range(3)]
        full, head = await post(webhooks, b"x" * 400_000)
        page, metrics = agent.board.page(), agent.metrics.page.render()
        gateway.verdict = lambda asked: 204
        for asked in gateway.events:
            asked.answer(204)
        await until(lambda: gateway.gaps)
        after, _ = await post(webhooks, b"x" * 400_000)

        assert (statuses, full, after) == ([204, 204, 503], 503, 204)
        assert "Retry-After: 10" in head
        assert page["webhooks"]["refused"] == {"full": 2}
        assert page["webhooks"]["spool"]["problem_since"]
        assert any("the spool is full" in warning for warning in page["warnings"])
        assert 'jira_agent_webhooks_refused_total{reason="full"} 2' in metrics
        assert agent.board.page()["webhooks"]["spool"]["problem"] is None
    assert [json.loads(gap.body)["cause"] for gap in gateway.gaps] == ["spool_full"]


async def test_a_full_disk_refuses_and_recovers_by_itself(tmp_path, gateway, jira, monkeypatch):
    pages = 40
    opened = spool_file._open

    def limited(path):
        database = opened(path)
        database.execute(f"PRAGMA max_page_count = {pages}")
        return database

    monkeypatch.setattr(spool_file, "_open", limited)
    gateway.verdict = lambda asked: None
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        statuses = [(await post(webhooks, b"x" * 50_000))[0] for _ in range(3)]
        assert webhooks.tally.refused["unavailable"] == 1
        gateway.verdict = lambda asked: 204
        for asked in gateway.events:
            asked.answer(204)
        await until(lambda: webhooks.tally.carried >= 2)
        await until(lambda: gateway.gaps)
        after, _ = await post(webhooks, b"x" * 50_000)

    assert (statuses, after) == ([204, 204, 503], 204)


async def test_a_jira_that_comes_back_leaves_a_gap(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent:
        await ready(agent)
        probe = agent.board.service.probe
        jira.state = "STARTING"
        await probe.ask()
        await probe.ask()
        assert probe.finding.info is None
        assert not gateway.gaps
        jira.state = "RUNNING"
        await probe.ask()
        await until(lambda: gateway.gaps)

    assert [json.loads(gap.body)["cause"] for gap in gateway.gaps] == ["jira"]


async def test_webhooks_are_taken_until_the_last_request_is_done(tmp_path, gateway, jira):
    settings = listening(tmp_path, gateway, jira, drain_seconds=5.0)
    async with running(settings) as agent:
        webhooks = await ready(agent)
        exchange = await gateway.open("GET", "/rest/api/2/test/sleep/1")
        await jira.wait_for(lambda jira: jira.active == 1)
        agent.stop()
        await until(lambda: agent.board.service.supervisor.is_draining)
        assert (await post(webhooks, b"late"))[0] == 204
        await exchange.wait()
    assert exchange.status == 200
    async with running(settings):
        await until(lambda: gateway.events)

    assert [event.body for event in gateway.events] == [b"late"]


async def test_a_webhook_that_is_in_hand_when_the_agent_stops_is_answered(tmp_path, gateway, jira, monkeypatch):
    write = SpoolFile.write
    stopped = []

    def slow(self, changes):
        while changes.appends and not stopped:
            time.sleep(0.01)
        return write(self, changes)

    monkeypatch.setattr(SpoolFile, "write", slow)
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        idle, writer = await asyncio.open_connection(webhooks.address.host, webhooks.address.port)
        await until(lambda: webhooks._listener._sockets.open)
        async with asyncio.TaskGroup() as tasks:
            posted = tasks.create_task(post(webhooks))
            await until(lambda: webhooks.spool._pending_bytes)
            agent.stop()
            async with asyncio.timeout(5):
                assert await idle.read() == b"", "sockets without a request close first"
            stopped.append(True)
        writer.close()
        assert posted.result()[0] == 204


async def test_who_holds_all_sockets_does_not_keep_jira_out(tmp_path, gateway, jira):
    async with running(listening(tmp_path, gateway, jira)) as agent, AsyncExitStack() as held:
        webhooks = await ready(agent)
        host, port = webhooks.address.host, webhooks.address.port
        for number in range(LIMITS.max_connections):
            stranger = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
            held.callback(lambda pair: pair[1].transport.abort(), stranger)
            stranger[1].write(b"POST /hooks/" if number % 2 else b"")
        await until(lambda: len(webhooks._listener._sockets.open) == LIMITS.max_connections)
        assert (await post(webhooks))[0] == 204


async def test_the_listener_is_there_although_jira_and_the_gateway_are_not(tmp_path, gateway, jira):
    settings = listening(tmp_path, gateway, jira)
    async with running(settings) as agent:
        await ready(agent)
    await gateway.stop()
    settings = listening(tmp_path, gateway, enroll=False)
    async with running(settings) as agent:
        webhooks = await ready(agent)
        assert (await post(webhooks))[0] == 204
    await gateway.start()


async def test_records_of_an_earlier_run_are_carried_although_nobody_listens_any_more(tmp_path, gateway, jira):
    gateway.verdict = lambda asked: None
    async with running(listening(tmp_path, gateway, jira)) as agent:
        webhooks = await ready(agent)
        await post(webhooks, b"kept")
    gateway.asked.clear()
    gateway.verdict = lambda asked: 204
    async with running(agent_settings(tmp_path, gateway, jira, enroll=False)) as agent:
        await until(lambda: gateway.events)
        assert agent.board.page()["webhooks"]["listening"] is None

    assert gateway.events[0].body == b"kept"


async def test_an_agent_without_webhooks_makes_no_spool(tmp_path, gateway, jira):
    settings = agent_settings(tmp_path, gateway, jira)
    async with running(settings) as agent:
        await gateway.link()
        assert agent.board.page()["webhooks"] is None
        assert "jira_agent_spool_events 0" in agent.metrics.page.render()

    assert not (settings.state_dir / "spool.db").exists()


async def test_a_damaged_spool_stops_the_start_with_one_line_and_stays(tmp_path, gateway, jira):
    settings = listening(tmp_path, gateway, jira)
    path = settings.state_dir / "spool.db"
    path.write_bytes(b"no database, but somebody's data" * 100)
    path.chmod(0o600)
    agent = Agent(settings, lambda: settings)

    with pytest.raises(CommandFailed, match=r"spool\.db is damaged") as failed:
        await agent.run()
    assert "\n" not in str(failed.value)
    assert path.read_bytes().startswith(b"no database")


async def test_it_serves_tls_and_takes_a_renewed_certificate(tmp_path, gateway, jira, authority, monkeypatch):
    monkeypatch.setattr(watched_files, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(watched_files, "SETTLE_SECONDS", 0.02)
    pair, tls = certificate_of(tmp_path / "old", authority)
    new_pair, renewed = certificate_of(tmp_path / "new", make_authority())
    settings = listening(tmp_path, gateway, jira, webhook_cert_file=pair, webhook_key_file=pair)
    with structlog.testing.capture_logs() as logs:
        async with running(settings) as agent:
            webhooks = await ready(agent)
            assert (await post(webhooks, tls=tls))[0] == 204
            assert webhooks.url.startswith("https://127.0.0.1:")
            pair.write_text(block(new_pair, "CERTIFICATE-") + block(pair, "PRIVATE KEY-"))  # they do not fit
            await until(lambda: "certificate_refused" in str(logs))
            assert (await post(webhooks, tls=tls))[0] == 204
            pair.write_bytes(new_pair.read_bytes())
            await until(lambda: "certificate_renewed" in str(logs))
            assert (await post(webhooks, tls=renewed))[0] == 204


def certificate_of(directory, authority):
    """Return a key with its certificate, and a context that trusts it."""
    directory.mkdir(mode=0o700)
    pair, ca = write_server(directory, authority, ["127.0.0.1"])
    return pair, ssl.create_default_context(cafile=str(ca))


def block(pair, kind):
    """Return the first PEM block of a kind."""
    blocks = pair.read_text().split("-----BEGIN ")
    return "-----BEGIN " + next(found for found in blocks if kind in found)


async def test_the_database_is_private_and_synced(tmp_path, gateway, jira):
    settings = listening(tmp_path, gateway, jira)
    async with running(settings) as agent:
        webhooks = await ready(agent)
        await post(webhooks)
        path = webhooks.spool.path
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob("spool.db*")}
        level = webhooks.spool._file._db.execute("PRAGMA synchronous").fetchone()[0]

    assert set(modes.values()) == {0o600}
    assert level == 2
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT value FROM facts WHERE name = 'alive_at'").fetchone()[0] > 0
    database.close()
