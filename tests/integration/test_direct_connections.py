"""Direct connections through the real gateway to a real Jira stand-in: the same promises as through an agent."""

import asyncio
import base64
import hashlib
import json

import pytest
import pytest_asyncio

from tests.support.fake_jira import (
    CloseBeforeAnswer,
    CutMidBody,
    FakeJira,
    Hang,
    RawAnswer,
    Slow,
    Status,
    make_certificate,
    pattern_bytes,
    server_context,
)
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE_URL = "https://jira.corp.example/jira"
MYSELF = "/rest/api/2/myself"
PASSWORD = "password-of-svc.bridge"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with (
        FakeJira(context="/jira", base_url=BASE_URL) as jira,
        running_gateway(
            tmp_path_factory.mktemp("stack"),
            connection_domain="gw.example",
            public_url="https://gw.example",
            allow_networks="127.0.0.1/32",
        ) as stack,
    ):
        stack.jira = jira
        await stack.connect("hq", "direct", "gateway", base_url=jira.url, username="svc.bridge", secret=PASSWORD)
        await stack.connect("own", "direct", "caller", base_url=jira.url)
        await until(lambda: all(b"jira-base-url" in link.settings for link in stack.gateway.direct))
        yield stack


@pytest.fixture
def jira(world):
    world.jira.behave()
    world.jira.requests.clear()
    return world.jira


@pytest_asyncio.fixture(loop_scope="module")
async def caller(world, jira):
    return await world.caller("hq")


async def test_a_request_reaches_jira_with_the_stored_login_and_our_name(jira, caller):
    answer = await caller.send("GET", "/jira/hq" + MYSELF, [("Cookie", "x=1"), ("X-Forwarded-User", "admin")])

    assert (answer.status, answer.json()["name"]) == (200, "svc.bridge")
    [record] = jira.matching(MYSELF)
    assert record.target == b"/jira/rest/api/2/myself"
    names = [name.lower() for name, _ in record.headers]
    assert b"cookie" not in names
    assert b"x-forwarded-user" not in names
    headers = dict(record.headers)
    assert headers[b"User-Agent"].startswith(b"jira-gateway/")
    assert headers[b"Via"] == b"1.1 jira-tunnel"
    assert headers[b"Host"] == f"127.0.0.1:{jira.port}".encode()
    assert answer.header("Set-Cookie") is None
    assert "jira;dur=" in answer.header("Server-Timing")


async def test_a_callers_own_login_passes_untouched(world, jira):
    caller = await world.caller("own")
    login = "Basic " + base64.b64encode(b"admin:password-of-admin").decode()
    headers = [("Tunnel-Authorization", f"Bearer {caller.token}"), ("Authorization", login)]
    answer = await caller.send("GET", "/jira/own" + MYSELF, headers)

    assert (answer.status, answer.json()["name"]) == (200, "admin")
    assert answer.header("Set-Cookie")
    assert b"jtg_" not in jira.matching(MYSELF)[0].raw_head


@pytest.mark.parametrize("host", ["", "hq.gw.example"])
async def test_links_lead_back_to_the_gateway(world, jira, host):
    caller = await world.caller("hq", host=host)
    answer = await caller.send("GET", ("" if host else "/jira/hq") + "/rest/api/2/issue/OPS-1")
    public = "https://hq.gw.example/jira" if host else "https://gw.example/jira/hq"

    assert answer.json()["self"].startswith(public + "/rest/api/2/issue/")
    assert BASE_URL.encode() not in answer.body


async def test_by_host_the_context_path_may_be_written_or_not(world, jira):
    caller = await world.caller("hq", host="hq.gw.example")
    for prefix in ("", "/jira"):
        assert (await caller.send("GET", prefix + MYSELF)).status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_arrives_whole(jira, caller, chunked):
    body = json.dumps({"body": "x" * 300_000}).encode()
    headers = [("Content-Type", "application/json")]
    answer = await caller.send("POST", "/jira/hq/rest/api/2/issue/OPS-1/comment", headers, body, chunked=chunked)

    assert answer.status == 201
    [record] = jira.matching("/rest/api/2/issue/OPS-1/comment")
    assert record.body_size == len(body)


async def test_a_large_download_arrives_whole_and_a_slow_caller_stops_jira(world, jira, caller):
    size = 24 * 1024 * 1024
    attachment = jira.add_generated_attachment("OPS-1", "big.bin", size)
    target = f"/jira/hq/secure/attachment/{attachment.id}/big.bin"
    async with caller.open("GET", target) as waiting:
        head = await waiting.head()
        [link] = [link for link in world.gateway.direct if link.entry.name == "hq"]
        await asyncio.sleep(0.5)  # time to run ahead, if nothing held it
        [record] = jira.matching("/secure/attachment")
        assert not record.answered
        assert link.link.streams == 1
        body = await waiting.reader.readexactly(int(head.header("Content-Length")))
    assert hashlib.sha256(body).digest() == hashlib.sha256(pattern_bytes(size)).digest()


async def test_only_what_a_profile_allows_passes(jira, caller):
    answer = await caller.send("GET", "/jira/hq/rest/pat/latest/tokens")

    assert answer.outcome == (403, "policy_denied", "gateway", "no")
    assert jira.requests == []


async def test_a_read_only_token_reads_only(world, jira):
    caller = await world.caller("hq", read_only=True)
    assert (await caller.send("GET", "/jira/hq" + MYSELF)).status == 200
    assert (await caller.send("DELETE", "/jira/hq/rest/api/2/issue/OPS-2")).outcome[:2] == (403, "forbidden")
    assert jira.matching(method="DELETE") == []


async def test_a_redirect_is_passed_on_and_not_followed(jira, caller):
    signed = "https://api.media.example/file/1?token=signed"
    content = "/rest/api/2/attachment/content/1"
    jira.misbehave(content, Status(303, (("Location", signed),)))
    answer = await caller.send("GET", "/jira/hq" + content)

    assert (answer.status, answer.header("Location")) == (303, signed)
    assert len(jira.requests) == 1


async def test_a_redirect_within_jira_leads_back_to_the_gateway(jira, caller):
    jira.misbehave(MYSELF, Status(302, (("Location", BASE_URL + "/login.jsp"),)))
    answer = await caller.send("GET", "/jira/hq" + MYSELF)
    assert answer.header("Location") == "https://gw.example/jira/hq/login.jsp"


async def test_a_read_is_repeated_once_and_a_write_never(jira, caller):
    jira.misbehave(MYSELF, CloseBeforeAnswer(), times=1)
    assert (await caller.send("GET", "/jira/hq" + MYSELF)).status == 200
    assert len(jira.requests) == 2

    jira.requests.clear()
    issue = "/rest/api/2/issue"
    jira.misbehave(issue, CloseBeforeAnswer())
    answer = await caller.send("POST", "/jira/hq" + issue, [("Content-Type", "application/json")], b"{}")
    assert answer.outcome == (502, "jira_protocol", "gateway", "unknown")
    assert len(jira.requests) == 1
    answer = await caller.send("GET", "/jira/hq" + issue)
    assert answer.outcome == (502, "jira_protocol", "gateway", "unknown")
    assert len(jira.requests) == 3


async def test_a_malformed_answer_is_jira_protocol(jira, caller):
    jira.misbehave(MYSELF, RawAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"))
    assert (await caller.send("GET", "/jira/hq" + MYSELF)).outcome[1:3] == ("jira_protocol", "gateway")


async def test_an_answer_that_is_cut_is_shown_as_cut(jira, caller):
    from tests.support.caller import AnswerCut

    attachment = jira.add_generated_attachment("OPS-1", "cut.bin", 100_000)
    jira.misbehave(f"/secure/attachment/{attachment.id}", CutMidBody(5000))
    with pytest.raises(AnswerCut):
        await caller.send("GET", f"/jira/hq/secure/attachment/{attachment.id}/cut.bin")


async def test_the_deadline_frees_jira(jira, caller):
    jira.misbehave(MYSELF, Hang())
    begun = asyncio.get_running_loop().time()
    answer = await caller.send("GET", "/jira/hq" + MYSELF, [("Tunnel-Timeout", "1")])

    assert answer.outcome == (504, "jira_timeout", "gateway", "unknown")
    assert 1.0 <= asyncio.get_running_loop().time() - begun <= 1.6
    await jira.wait_for(lambda jira: jira.requests[0].aborted, 1)


async def test_a_caller_that_hangs_up_frees_jira(world, jira, caller):
    jira.misbehave(MYSELF, Slow(20))
    async with caller.open("GET", "/jira/hq" + MYSELF):
        await jira.wait_for(lambda jira: jira.requests)
    await jira.wait_for(lambda jira: jira.requests[0].aborted, 1)
    await until(lambda: world.gateway.direct.streams == 0)


async def test_a_changed_address_counts_at_once_and_requests_under_way_end_on_the_old_one(world, jira):
    async with FakeJira() as other:
        await world.connect("moves", "direct", "gateway", base_url=jira.url, username="svc.bridge", secret=PASSWORD)
        caller = await world.caller("moves")
        jira.misbehave(MYSELF, Slow(0.6))
        async with asyncio.TaskGroup() as tasks:
            old = tasks.create_task(caller.send("GET", "/jira/moves" + MYSELF))
            await jira.wait_for(lambda jira: jira.matching(MYSELF))
            await change(world, "moves", base_url=other.url)
            new = await caller.send("GET", "/jira/moves" + MYSELF)
        assert (new.status, old.result().status) == (200, 200)
        assert len(other.matching(MYSELF)) == 1
        await until(lambda: not world.gateway.direct._retiring)


async def test_a_changed_password_counts_at_once(world, jira):
    await world.connect("rotates", "direct", "gateway", base_url=jira.url, username="svc.bridge", secret="wrong")
    caller = await world.caller("rotates")
    assert (await caller.send("GET", "/jira/rotates" + MYSELF)).status == 401
    await change(world, "rotates", secret=PASSWORD)
    assert (await caller.send("GET", "/jira/rotates" + MYSELF)).status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]", "2130706434", "0.0.0.0"])
async def test_an_address_that_is_not_allowed_is_unreachable_and_not_processed(world, host):
    name = f"ssrf-{abs(hash(host)) % 10**8}"
    jira = await asyncio.start_server(lambda *_: pytest.fail("it was dialled"), "127.0.0.2", 0)
    port = jira.sockets[0].getsockname()[1]
    host = host if host != "localhost" else "127.0.0.2"
    async with jira:
        await world.connect(name, "direct", "caller", base_url=f"http://{host}:{port}")
        caller = await world.caller(name)
        headers = [("Tunnel-Authorization", f"Bearer {caller.token}")]
        answer = await caller.send("POST", f"/jira/{name}/rest/api/2/issue", headers, b"{}")

    assert answer.outcome == (502, "jira_unreachable", "gateway", "no")
    assert "JIRA_GATEWAY_ALLOW_NETWORKS" in answer.json()["errorMessages"][0]


async def test_a_jira_that_refuses_is_unreachable(world):
    await world.connect("closed", "direct", "caller", base_url="http://127.0.0.1:9")
    caller = await world.caller("closed")
    headers = [("Tunnel-Authorization", f"Bearer {caller.token}")]
    answer = await caller.send("GET", "/jira/closed" + MYSELF, headers)
    assert answer.outcome == (502, "jira_unreachable", "gateway", "no")


@pytest.mark.parametrize("row", [{"base_url": "ftp://jira.example"}, {"base_url": "https://j", "ca_pem": "none"}])
async def test_a_row_that_cannot_be_used_harms_no_other_connection(world, caller, row):
    name = f"broken-{len(row)}"
    await world.connect(name, "direct", "caller", **row)
    broken = await world.caller(name)
    headers = [("Tunnel-Authorization", f"Bearer {broken.token}")]
    answer = await broken.send("GET", f"/jira/{name}" + MYSELF, headers)

    assert answer.outcome == (503, "jira_unavailable", "gateway", "no")
    assert (await caller.send("GET", "/jira/hq" + MYSELF)).status == 200


async def test_a_name_that_cannot_be_resolved_harms_no_other_connection(world, caller):
    host = "a" * 64 + ".example"
    await world.connect("nowhere", "direct", "caller", base_url=f"http://{host}")
    nowhere = await world.caller("nowhere")
    headers = [("Tunnel-Authorization", f"Bearer {nowhere.token}")]
    answer = await nowhere.send("GET", "/jira/nowhere" + MYSELF, headers)

    assert answer.outcome == (502, "jira_unreachable", "gateway", "no")
    assert (await caller.send("GET", "/jira/hq" + MYSELF)).status == 200


async def test_tls_is_verified_against_the_connections_own_ca(world, tmp_path):
    files = make_certificate(tmp_path)
    async with FakeJira(tls=server_context(files.cert, files.key)) as jira:
        url = f"https://127.0.0.1:{jira.port}"
        await world.connect("tls", "direct", "caller", base_url=url, ca_pem=files.ca.read_text())
        await world.connect("untrusted", "direct", "caller", base_url=url)
        for name, outcome in (("tls", (200, None)), ("untrusted", (502, "jira_tls"))):
            caller = await world.caller(name)
            headers = [("Tunnel-Authorization", f"Bearer {caller.token}")]
            answer = await caller.send("GET", f"/jira/{name}/rest/api/2/serverInfo", headers)
            assert answer.outcome[:2] == outcome


async def test_the_connection_can_be_tested(world, jira):
    from gateway.probe import test_connection as try_connection

    gateway = world.gateway
    checks = await try_connection(gateway.directory.connection("hq"), gateway.registry, gateway.direct.pick)
    assert [(row.check, row.result) for row in checks] == [("jira", "pass"), ("login", "pass")]
    assert "svc.bridge" in checks[1].detail


async def test_the_metrics_name_direct_connections(world, jira, caller):
    await caller.send("GET", "/jira/hq" + MYSELF)
    page = "".join(world.gateway.console.pages().metrics())
    assert 'jira_gateway_direct_requests_in_flight{connection="hq"} 0' in page
    assert 'jira_gateway_direct_sockets{connection="hq",state="idle"} 1' in page


async def change(world, name, secret=None, **fields):
    """Change a connection's row, and let the gateway see it."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from pydantic import SecretBytes

    from gateway.directory import secret_place

    stored = world.stored
    [row] = [row for row in await stored.store.connections() if row.name == name]
    if secret is not None:
        fields["sealed_secret"] = stored.key.seal(SecretBytes(secret.encode()), secret_place(name))
    async with stored.store.change("test", datetime.now(UTC)) as changing:
        await changing.update_connection(replace(row, **fields))
    await world.apply()
