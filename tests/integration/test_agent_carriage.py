"""The agent between a real link and a real Jira stand-in: what arrives there, what comes back, and who is freed."""

import asyncio
import hashlib
import json
from time import monotonic

import pytest

from jira_api.protection.protection import QUEUE_LIMIT
from tests.support.agent_identity import make_authority
from tests.support.fake_jira import (
    CloseBeforeAnswer,
    CutMidBody,
    FakeJira,
    Hang,
    RawAnswer,
    StallBody,
    StallRead,
)
from tests.support.fake_jira.pattern import pattern_chunks
from tests.support.mini_gateway import MiniGateway, agent_settings, running, until

TEST = "/rest/api/2/test"


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
async def jira():
    async with FakeJira(context="/jira", base_url="https://jira.corp.example/jira") as jira:
        yield jira
        assert jira.crashes == []


@pytest.fixture
async def gateway(tmp_path, authority):
    async with MiniGateway(tmp_path / "gateway", authority) as gateway:
        yield gateway


def sha256(data):
    return hashlib.sha256(data).hexdigest()


async def test_a_request_reaches_jira_with_the_agents_login_and_nothing_of_the_callers(tmp_path, gateway, jira):
    headers = [
        (b"Accept", b"application/json"),
        (b"Cookie", b"JSESSIONID=stolen"),
        (b"Authorization", b"Bearer jtg_callers"),
        (b"User-Agent", b"Mozilla/5.0"),
        (b"X-Forwarded-For", b"10.0.0.1"),
        (b"X-Atlassian-Token", b"no-check"),
    ]
    async with running(agent_settings(tmp_path, gateway, jira)):
        answer = await gateway.request("GET", "/rest/api/2/myself?x=%7B%22", headers=headers)

    assert answer.status == 200
    assert json.loads(bytes(answer.body))["name"] == "svc.bridge"
    assert answer.header(b"Set-Cookie") is None
    assert int(answer.meta[b"jira-us"]) > 0
    [record] = jira.matching("/rest/api/2/myself")
    assert record.target == b"/jira/rest/api/2/myself?x=%7B%22"
    assert record.header("authorization") == b"Bearer pat-10412-of-svc.bridge"
    assert record.header("user-agent").startswith(b"jira-agent/")
    assert {name.lower() for name in record.header_names()} == {
        "host", "accept", "user-agent", "via", "authorization", "x-atlassian-token",
    }  # fmt: skip


async def test_the_callers_own_login_and_cookies_pass_both_ways(tmp_path, gateway, jira):
    headers = [(b"Authorization", b"Bearer pat-10500-of-readonly"), (b"Cookie", b"a=b")]
    async with running(agent_settings(tmp_path, gateway, jira)):
        answer = await gateway.request("GET", "/rest/api/2/myself", headers=headers, login="caller")

    assert json.loads(bytes(answer.body))["name"] == "readonly"
    assert answer.header(b"Set-Cookie") is not None
    assert jira.matching("/rest/api/2/myself")[0].header("cookie") == b"a=b"


@pytest.mark.parametrize("profile", [("read-only",), ("issues",)])
async def test_what_the_policy_refuses_never_reaches_jira(tmp_path, gateway, jira, profile):
    async with running(agent_settings(tmp_path, gateway, jira, policy_profile=profile)):
        denied = await gateway.request("DELETE", "/rest/api/2/project/OPS")
        traversal = await gateway.request("GET", "/rest/api/2/..;/..;/..;/secure/admin")

    assert (denied.code, denied.progress) == ("POLICY_DENIED", "NOT_SENT")
    assert (traversal.code, traversal.progress) == ("BAD_REQUEST", "NOT_SENT")
    assert {record.mapped_path for record in jira.requests} == {
        "/status",
        "/rest/api/2/serverInfo",
    }  # the agent's own probe


async def test_gateways_are_told_where_jira_is_before_the_first_request(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira)):
        await gateway.link()
        [news] = await until(lambda: gateway.news)

    assert news[b"jira-url"] == jira.url.encode()
    assert news[b"jira-base-url"] == b"https://jira.corp.example/jira"
    assert news[b"context-path"] == b"/jira"


async def test_no_more_requests_are_in_flight_than_allowed(tmp_path, gateway, jira):
    most = 0
    async with running(agent_settings(tmp_path, gateway, jira, max_concurrency=3)):
        exchanges = [await gateway.open("GET", f"{TEST}/sleep/0.1") for _ in range(12)]
        while not all(exchange.done.is_set() for exchange in exchanges):
            most = max(most, jira.active)
            await asyncio.sleep(0.005)

    assert most == 3
    assert {exchange.status for exchange in exchanges} == {200}


async def test_what_exceeds_the_queue_is_refused_at_once(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira, max_concurrency=1)):
        exchanges = [await gateway.open("GET", f"{TEST}/sleep/1") for _ in range(1 + QUEUE_LIMIT + 15)]
        await until(lambda: sum(exchange.done.is_set() for exchange in exchanges) >= 15)
        refused = [exchange for exchange in exchanges if exchange.reset]
        for exchange in exchanges:
            exchange.stream.reset(5)

    assert {(exchange.code, exchange.progress) for exchange in refused} == {("OVERLOADED", "NOT_SENT")}


async def test_a_deadline_ends_the_request_in_time_and_frees_jira(tmp_path, gateway, jira):
    jira.misbehave(f"{TEST}/echo", Hang())
    async with running(agent_settings(tmp_path, gateway, jira)):
        await gateway.link()
        began = monotonic()
        answer = await gateway.request("GET", f"{TEST}/echo", timeout=0.5)
        took = monotonic() - began
        await jira.wait_for(lambda jira: jira.active == 0, 1)

    assert (answer.code, answer.progress) == ("JIRA_TIMEOUT", "SENT")
    assert 0.5 <= took < 5
    assert jira.requests[-1].aborted


async def test_an_answer_that_stalls_runs_into_the_deadline_too(tmp_path, gateway, jira):
    jira.misbehave(f"{TEST}/bytes", StallBody(1000))
    async with running(agent_settings(tmp_path, gateway, jira)):
        answer = await gateway.request("GET", f"{TEST}/bytes/5000", timeout=0.4)

    assert (answer.status, answer.received) == (200, 1000)
    assert (answer.code, answer.progress) == ("JIRA_TIMEOUT", "ANSWERED")


@pytest.mark.parametrize("body", [None, b"x" * 1000])
async def test_a_caller_that_hangs_up_frees_jira_within_a_second(tmp_path, gateway, jira, body):
    async with running(agent_settings(tmp_path, gateway, jira)):
        exchange = await gateway.open("POST", f"{TEST}/sleep/30", body=-2 if body is None else len(body))
        if body:
            await exchange.send([body])
        await jira.wait_for(lambda jira: jira.active == 1)
        exchange.stream.reset(4)
        await jira.wait_for(lambda jira: jira.active == 0, 1)

    assert jira.matching(f"{TEST}/sleep")[0].aborted


async def test_a_jira_that_is_down_is_unreachable_and_nothing_was_sent(tmp_path, gateway):
    async with running(agent_settings(tmp_path, gateway)):
        answer = await gateway.request("POST", "/rest/api/2/issue", body=b"{}")

    assert (answer.code, answer.progress) == ("JIRA_UNREACHABLE", "NOT_SENT")
    assert "127.0.0.1:1" in answer.reset[2]


@pytest.mark.parametrize(
    ("fault", "progress"),
    [
        (CloseBeforeAnswer(), "SENT"),
        (RawAnswer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nx"), "ANSWERED"),
        (RawAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), "ANSWERED"),
        (RawAnswer(b"\x16\x03\x01 what is this"), "ANSWERED"),
        (CutMidBody(10), "ANSWERED"),
    ],
)
async def test_a_hostile_answer_is_jiras_fault_and_never_ends_well(tmp_path, gateway, jira, fault, progress):
    jira.misbehave(f"{TEST}/bytes", fault)
    async with running(agent_settings(tmp_path, gateway, jira)):
        answer = await gateway.request("GET", f"{TEST}/bytes/100")
        after = await gateway.request("GET", f"{TEST}/echo")

    assert (answer.code, answer.progress) == ("JIRA_PROTOCOL", progress)
    assert after.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("size", [None, 0, 1, 65536])
async def test_every_method_passes_with_every_kind_of_body(tmp_path, gateway, jira, method, size):
    body = None if size is None else b"x" * size
    async with running(agent_settings(tmp_path, gateway, jira)):
        answer = await gateway.request(method, f"{TEST}/echo", body=body)

    assert (answer.reset, answer.status) == (None, 200)
    record = jira.requests[-1]
    assert (record.method, record.body_size) == (method, size or 0)
    assert record.header("transfer-encoding") is None
    assert record.header("content-length") == (None if size is None else str(size).encode())
    assert bool(answer.body) is (method != "HEAD")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_ends_at_once(tmp_path, gateway, jira, status):
    async with running(agent_settings(tmp_path, gateway, jira)):
        answer = await gateway.request("GET", f"{TEST}/status/{status}")

    assert (answer.reset, answer.status, bytes(answer.body)) == (None, status, b"")


@pytest.mark.parametrize("streamed", [False, True])
async def test_large_bodies_pass_both_ways_unchanged(tmp_path, gateway, jira, streamed):
    content = b"".join(pattern_chunks(8 << 20))
    async with running(agent_settings(tmp_path, gateway, jira)):
        up = await gateway.request("PUT", f"{TEST}/sink", body=content, streamed=streamed)
        down = await gateway.request("GET", f"{TEST}/bytes/{len(content)}?chunked={int(streamed)}")

    assert json.loads(bytes(up.body))["body"] == {"size": len(content), "sha256": sha256(content)}
    assert sha256(bytes(down.body)) == sha256(content)


async def test_a_caller_that_does_not_read_holds_no_more_than_its_window(tmp_path, gateway, jira):
    size = 32 << 20
    async with running(agent_settings(tmp_path, gateway, jira)):
        exchange = await gateway.open("GET", f"{TEST}/bytes/{size}", consumes=False, keeps=False, timeout=0.3)
        await until(lambda: exchange.received >= 200_000)
        small = await gateway.request("GET", f"{TEST}/echo")
        await asyncio.sleep(0.6)  # twice the deadline: the clock must stand still while the caller is slow
        held = exchange.received
        exchange.consumes = True
        exchange.stream.consume(held)
        await exchange.wait()

    assert small.status == 200
    assert held <= 256 * 1024
    assert (exchange.reset, exchange.received) == (None, size)


async def test_a_jira_that_does_not_read_slows_its_caller(tmp_path, gateway, jira):
    jira.misbehave(f"{TEST}/sink", StallRead(100_000, 0.5))
    content = bytes(24 << 20)
    async with running(agent_settings(tmp_path, gateway, jira)):
        exchange = await gateway.open("PUT", f"{TEST}/sink", body=len(content))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(exchange.send(content[at : at + 65536] for at in range(0, len(content), 65536)))
            await jira.wait_for(lambda jira: jira.active == 1)
            await asyncio.sleep(0.3)
            was_blocked = exchange.stream.queued_bytes > 0
            answer = await exchange.wait()

    assert was_blocked
    assert json.loads(bytes(answer.body))["body"] == {"size": len(content), "sha256": sha256(content)}


async def test_a_webhook_may_only_point_where_the_administrator_allows(tmp_path, gateway, jira):
    headers = [(b"Content-Type", b"application/json")]
    path = "/rest/webhooks/1.0/webhook"
    options = {"policy_profile": ("webhooks",), "webhook_targets": ("https://agent.corp.example/hooks/",)}

    def registration(url):
        return json.dumps({"name": "n", "url": url, "events": ["jira:issue_created"]}).encode()

    async with running(agent_settings(tmp_path, gateway, jira, **options, jira_token="pat-10100-of-admin")):
        bad = await gateway.request("POST", path, headers=headers, body=registration("https://evil.example/"))
        good = await gateway.request(
            "POST", path, headers=headers, body=registration("https://agent.corp.example/hooks/1"), streamed=True
        )

    assert (bad.code, bad.progress) == ("POLICY_DENIED", "NOT_SENT")
    assert good.status == 201
    [record] = jira.matching(path)
    assert b"agent.corp.example" in record.body
    assert record.header("content-length") == str(record.body_size).encode()


async def test_an_agent_without_jira_credentials_says_so(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira, jira_token=None)) as agent:
        answer = await gateway.request("GET", "/rest/api/2/myself")
        warnings = agent.board.warnings()

    assert (answer.code, answer.progress) == ("JIRA_LOGIN_REJECTED", "NOT_SENT")
    assert any("no Jira credentials" in warning for warning in warnings)
    assert jira.matching("/rest/api/2/myself") == []
