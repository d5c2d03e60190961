"""The management API over the real API listener, relay, application and store; one agent and a stand-in for Jira."""

import asyncio
import base64
import gzip
import json
import sqlite3
import stat
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from certs.enrollment import parse_code
from gateway.directory import read_directory
from gateway.local_relay import LocalRelay
from gateway.management import application
from gateway.store import Scope
from tests.support.caller import Caller
from tests.support.fake_jira import FakeJira, Hang, Status
from tests.support.in_process import running_gateway
from tests.support.mini_gateway import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = "/api/v1"
MIB = 1024 * 1024


class Administrator(Caller):
    """A caller that speaks JSON to the management API."""

    async def ask(self, method, path, body=None, headers=()):
        fields = list(headers)
        if body is not None:
            fields.append(("Content-Type", "application/json"))
        content = None if body is None else json.dumps(body).encode()
        return await self.send(method, ROOT + path, fields, content)

    async def must(self, method, path, body=None):
        answer = await self.ask(method, path, body)
        assert answer.status < 300, answer.body
        return answer.json() if answer.body else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("managed")
    async with FakeJira() as jira, running_gateway(folder, connection_domain="gw.example") as stack:
        await until(lambda: "management" not in stack.gateway.console.not_ready)
        stack.jira = jira
        await stack.enroll("hq", jira)
        await stack.connect("hq")
        stack.admin_token = await stack.token(name="admin", scopes=frozenset({Scope.ADMIN}))
        yield stack


@pytest.fixture
def admin(world):
    world.jira.behave()
    return Administrator(world.port, world.admin_token)


async def administrator(world, **fields):
    return Administrator(world.port, await world.token(scopes=frozenset({Scope.ADMIN}), **fields))


# Who may ask


@pytest.mark.parametrize("path", ["/connections", "/openapi.json", "/nothing", "/connections/hq/none"])
async def test_a_stranger_is_told_the_same_whether_a_path_exists_or_not(world, path):
    for token in ("", "jtg_unknown"):
        answer = await Administrator(world.port, token).ask("GET", path)
        assert answer.outcome == (401, "unauthenticated", "gateway", "no")
        assert answer.header("WWW-Authenticate") == 'Basic realm="jira-tunnel"'
        assert path not in answer.body.decode()


@pytest.mark.parametrize("path", ["/connections", "/nothing"])
async def test_a_token_for_calls_may_not_administer(world, path):
    answer = await Administrator(world.port, await world.token("hq")).ask("GET", path)
    assert answer.outcome == (403, "forbidden", "gateway", "no")


@pytest.mark.parametrize("how", ["basic", "tunnel"])
async def test_the_token_may_come_as_a_password_or_beside_another_login(world, how):
    encoded = base64.b64encode(f"anybody:{world.admin_token}".encode()).decode()
    header = {
        "basic": ("Authorization", f"Basic {encoded}"),
        "tunnel": ("Tunnel-Authorization", f"Bearer {world.admin_token}"),
    }[how]
    assert (await Administrator(world.port).ask("GET", "/agents", headers=[header])).status == 200


async def test_two_logins_are_ambiguous(world, admin):
    twice = [("Authorization", f"Bearer {world.admin_token}")] * 2
    assert (await admin.ask("GET", "/agents", headers=twice)).outcome == (400, "bad_request", "gateway", "no")


async def test_a_read_only_token_sees_everything_and_changes_nothing(world, admin):
    reader = await administrator(world, read_only=True)
    before = await admin.must("GET", "/audit/head")
    assert (await reader.ask("GET", "/tokens")).status == 200
    refused = [
        await reader.ask("POST", "/tokens", {"name": "x", "connections": ["hq"]}),
        await reader.ask("PATCH", "/connections/hq", {"timeout_seconds": 1}),
        await reader.ask("DELETE", "/connections/hq?force=true"),
        await reader.ask("POST", "/agents/hq/revoke", {}),
    ]
    assert {answer.outcome for answer in refused} == {(403, "forbidden", "gateway", "no")}
    assert await admin.must("GET", "/audit/head") == before


async def test_a_token_is_held_to_its_rate(world):
    slow = await administrator(world, rate=0.01)
    answers = [await slow.ask("GET", "/agents") for _ in range(3)]
    assert answers[0].status == 200
    assert answers[-1].outcome == (429, "rate_limited", "gateway", "no")
    assert int(answers[-1].header("Retry-After")) >= 1


async def test_a_caller_sets_neither_the_request_id_nor_its_address(admin):
    with capture_logs() as logs:
        forged = [("X-Request-ID", "mine"), ("Tunnel-Peer", "10.9.8.7")]
        answer = await admin.ask("GET", "/agents", headers=forged)
    (line,) = [entry for entry in logs if entry["event"] == "management_request"]
    assert line["peer"] == "127.0.0.1"
    assert line["request_id"] == answer.header("X-Request-ID") != "mine"
    assert line["caller"] == "admin"


async def test_the_socket_behind_it_is_for_its_owner_only(world):
    mode = (world.folder / "gateway" / "api.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_below_a_connections_host_name_the_same_path_is_jiras(world):
    answer = await Administrator(world.port, world.admin_token, host="hq.gw.example").ask("GET", "/connections")
    assert answer.outcome == (403, "forbidden", "gateway", "no")
    assert "connection" in answer.json()["errorMessages"][0]


# What can be done


async def test_from_nothing_to_an_answer_of_jira_without_a_pause(world, admin):
    made = await admin.must("POST", "/connections", {"name": "second", "via": "hq", "credentials": "agent"})
    token = await admin.must("POST", "/tokens", {"name": "second", "connections": ["second"]})

    answer = await Caller(world.port, token["token"]).send("GET", "/jira/second/rest/api/2/myself")
    tested = await admin.must("POST", "/connections/second/test")

    assert made["timeout_seconds"] == 60
    assert token["token"].startswith("jtg_")
    assert answer.status == 200
    assert tested["ok"]
    assert {check["check"] for check in tested["checks"]} == {"agent", "jira", "login"}
    assert (await admin.must("GET", "/connections/second"))["tokens"] == ["second"]


async def test_a_revoked_token_is_refused_at_once(world, admin):
    made = await admin.must("POST", "/tokens", {"name": "short", "connections": ["hq"], "rate": "100/s"})
    caller = Caller(world.port, made["token"])
    assert (await caller.send("GET", "/jira/hq/rest/api/2/myself")).status == 200

    await admin.must("POST", "/tokens/short/revoke")

    assert (await caller.send("GET", "/jira/hq/rest/api/2/myself")).status == 401
    assert (await admin.must("GET", "/tokens/short"))["state"] == "revoked"
    assert (await admin.ask("POST", "/tokens/short/revoke")).outcome == (404, "not_found", "gateway", "no")


async def test_a_rotated_token_keeps_its_old_secret_for_the_overlap_only(world, admin):
    first = await admin.must("POST", "/tokens", {"name": "rotating", "connections": ["hq"], "expires": "never"})
    second = await admin.must("POST", "/tokens/rotating/rotate", {"overlap": "1h"})
    third = await admin.must("POST", "/tokens/rotating/rotate", {"expires": "1d"})
    found = [
        (await Caller(world.port, made["token"]).send("GET", "/jira/hq/rest/api/2/myself")).status
        for made in (first, second, third)
    ]
    assert found == [401, 401, 200]
    assert first["expires_at"] is None
    assert second["expires_at"] is None
    assert datetime.fromisoformat(third["expires_at"]) < datetime.now(UTC) + timedelta(days=1, seconds=1)


async def test_a_change_touches_only_what_it_names(admin):
    fields = {"name": "own", "via": "hq", "credentials": "gateway", "username": "bot", "secret": "hunter2"}
    created = await admin.must("POST", "/connections", fields | {"rewrite_links": False})
    changed = await admin.must("PATCH", "/connections/own", {"timeout_seconds": 5})
    replaced = await admin.must("PATCH", "/connections/own", {"credentials": "caller"})

    assert (created["username"], created["has_secret"], created["rewrite_links"]) == ("bot", True, False)
    assert changed == created | {"timeout_seconds": 5}
    assert replaced == changed | {"credentials": "caller", "username": None, "has_secret": False}


async def test_a_stored_secret_cannot_be_sent_elsewhere_by_who_never_saw_it(admin):
    there = "https://192.0.2.1"  # an address that is never dialled
    fields = {"name": "kept", "via": "direct", "base_url": f"{there}/a", "credentials": "gateway", "secret": "hunter2"}
    await admin.must("POST", "/connections", fields)
    elsewhere = [
        {"base_url": "https://192.0.2.2/a"},
        {"base_url": f"{there}:8443/a"},
        {"base_url": "http://192.0.2.1/a"},
        {"via": "hq"},
        {"base_url": "https://192.0.2.2", "username": "bot"},
    ]
    for change in elsewhere:
        answer = await admin.ask("PATCH", "/connections/kept", change)
        assert (answer.status, answer.json()["errorMessages"]) == (
            400, ["secret must be given again: the stored one is for the Jira at the old address."]
        )  # fmt: skip
    await admin.must("PATCH", "/connections/kept", {"base_url": f"{there}:443/b"})
    for change in elsewhere[:4]:
        await admin.must("PATCH", "/connections/kept", change | {"secret": "another"})


async def test_a_secret_is_in_no_answer_and_not_in_the_trail(admin):
    secret = "correct-horse-battery"
    fields = {"name": "sealed", "via": "hq", "credentials": "gateway", "secret": secret}
    answers = [
        await admin.ask("POST", "/connections", fields),
        await admin.ask("POST", "/connections", fields),
        await admin.ask("POST", "/connections", fields | {"name": "S", "timeout_seconds": secret}),
        await admin.ask("PATCH", "/connections/sealed", {"secret": secret + "\n"}),
        await admin.ask("GET", "/connections/sealed"),
        await admin.ask("GET", "/audit?limit=1000"),
    ]
    assert [answer.status for answer in answers] == [201, 409, 400, 400, 200, 200]
    assert not [answer for answer in answers if secret.encode() in answer.body]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"via": "direct"}, "via direct needs base_url"),
        ({"base_url": "https://jira.example.com"}, "base_url goes with via direct"),
        ({"username": "bot"}, "username and secret go with credentials gateway"),
        ({"credentials": "gateway"}, "credentials gateway needs secret"),
        ({"timeout_seconds": 3601}, "timeout_seconds"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
async def test_what_contradicts_itself_is_refused_in_the_words_of_the_api(admin, fields, problem):
    body = {"name": "wrong", "via": "hq", "credentials": "caller", **fields}
    answer = await admin.ask("POST", "/connections", body)
    assert answer.outcome == (400, "bad_request", "gateway", "no")
    assert problem in answer.json()["errorMessages"][0]
    assert "--" not in answer.json()["errorMessages"][0]


async def test_a_connection_goes_only_when_no_token_names_it(admin):
    await admin.must("POST", "/connections", {"name": "going", "via": "hq", "credentials": "agent"})
    await admin.must("POST", "/tokens", {"name": "holder", "connections": ["going", "hq"]})
    kept = await admin.ask("DELETE", "/connections/going")
    gone = await admin.ask("DELETE", "/connections/going?force=true")
    assert kept.outcome == (409, "conflict", "gateway", "no")
    assert "holder" in kept.json()["errorMessages"][0]
    assert (gone.status, gone.body) == (204, b"")
    assert (await admin.must("GET", "/tokens/holder"))["connections"] == ["hq"]


async def test_an_invite_is_a_code_for_this_tunnel(world, admin):
    made = await admin.must("POST", "/agents/branch/invites", {"ttl": "30m"})
    code = parse_code(made["code"])
    assert code.address == f"wss://{world.gateway.tunnel_address}"
    assert code.ca_fingerprint == world.stored.authority.fingerprint
    listed = [row for row in (await admin.must("GET", "/invites"))["items"] if row["agent"] == "branch"]
    assert [row["state"] for row in listed] == ["open"]
    assert made["code"] not in json.dumps(listed)
    assert (await admin.must("GET", "/agents/branch"))["state"] == "invited"
    assert await admin.must("POST", "/agents/branch/revoke", {}) == {"name": "branch", "instances": 0}
    assert (await admin.must("GET", "/invites"))["items"][-1]["agent"] != "branch"


@pytest.mark.parametrize(("name", "ttl"), [("direct", "1h"), ("branch", "25h"), ("branch", "0h")])
async def test_an_invite_that_must_not_be_is_refused(admin, name, ttl):
    answer = await admin.ask("POST", f"/agents/{name}/invites", {"ttl": ttl})
    assert answer.outcome == (400, "bad_request", "gateway", "no")


async def test_an_agent_shows_its_instances_and_links(world, admin):
    found = await admin.must("GET", "/agents/hq")
    (row,) = [row for row in (await admin.must("GET", "/agents"))["items"] if row["name"] == "hq"]
    instance = world.agents[0].instance
    assert (row["state"], row["instances"], row["links"]) == ("enrolled", 1, 2)
    assert [entry["instance"] for entry in found["instances"]] == [instance]
    assert {link["instance"] for link in found["links"]} == {instance}
    assert "hq" in found["connections"]


async def test_the_permission_report_comes_through_the_tunnel(admin):
    report = await admin.must("GET", "/connections/hq/permissions?project=OPS&need=CREATE_ISSUES,ADMINISTER")
    assert report["connection"] == "hq"
    assert [row["need"] for row in report["needs"]] == ["CREATE_ISSUES", "ADMINISTER"]
    assert {row["state"] for row in report["actions"]} <= {"allowed", "denied", "unknown"}
    assert report["account"]["name"] == "svc.bridge"


async def test_an_answer_that_was_no_success_is_explained_by_its_id(world, admin):
    world.jira.misbehave("/rest/api/2/issue/OPS-1", Status(403))
    caller = await world.caller("hq")
    refused = await caller.send("GET", "/jira/hq/rest/api/2/issue/OPS-1")
    request_id = refused.header("X-Request-ID")
    explained = await admin.must("GET", f"/connections/hq/explain/{request_id}")
    unknown = await admin.ask("GET", "/connections/hq/explain/0-0")
    assert (explained["status"], explained["answered_by"]) == (403, "jira")
    assert explained["path"] == "/rest/api/2/issue/OPS-1"
    assert unknown.outcome == (404, "not_found", "gateway", "no")


async def test_a_directory_that_was_read_before_a_change_does_not_undo_it(world, admin):
    earlier = await read_directory(world.stored.store, world.stored.key)
    made = await admin.must("POST", "/tokens", {"name": "newest", "connections": ["hq"]})
    world.gateway._use(earlier)
    answer = await Caller(world.port, made["token"]).send("GET", "/jira/hq/rest/api/2/myself")
    assert answer.status == 200


async def test_what_takes_too_long_is_given_up(world, admin, monkeypatch):
    monkeypatch.setattr(application, "HANDLING_SECONDS", 0.05)
    world.jira.misbehave("/rest/api/2/serverInfo", Hang())
    answer = await admin.ask("POST", "/connections/hq/test")
    assert answer.outcome == (500, "internal", "gateway", "unknown")


# The audit trail


async def test_every_change_is_in_the_trail_under_the_name_of_its_token(admin):
    before = (await admin.must("GET", "/audit/head"))["count"]
    await admin.must("PATCH", "/connections/hq", {"timeout_seconds": 61})
    (record,) = (await admin.must("GET", f"/audit?after={before}"))["items"]
    assert (record["actor"], record["action"], record["subject"]) == ("token admin", "connection.update", "hq")
    assert record["detail"] == {"changed": ["timeout_seconds"], "timeout_seconds": 61.0}


async def test_the_trail_is_read_page_by_page(admin):
    count = (await admin.must("GET", "/audit/head"))["count"]
    seen, after = [], 0
    while after is not None:
        page = await admin.must("GET", f"/audit?after={after}&limit=3")
        seen += [record["seq"] for record in page["items"]]
        after = page["next"]
    assert seen == list(range(1, count + 1))


async def test_a_cut_end_is_found_with_a_head_that_was_kept(tmp_path):
    async with running_gateway(tmp_path) as stack:
        await until(lambda: "management" not in stack.gateway.console.not_ready)
        admin = await administrator(stack)
        for name in ("one", "two"):
            await admin.must("POST", "/tokens", {"name": name, "scopes": ["admin"]})
        head = (await admin.must("GET", "/audit/head"))["head"]
        whole = await admin.must("GET", f"/audit/verify?head={head}")
        with sqlite3.connect(stack.folder / "gateway" / "gateway.db", timeout=10) as database:
            database.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
        database.close()
        blind = await admin.must("GET", "/audit/verify")
        cut = await admin.must("GET", f"/audit/verify?head={head}")
    assert (whole["ok"], whole["head"]) == (True, head)
    assert blind["ok"]
    assert (cut["ok"], cut["broken_at"], cut["count"]) == (False, 3, None)
    assert "missing at the end" in cut["problem"]


# What is not understood


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/tokens", [("Content-Type", "text/plain")], b'{"name":"x"}', 400),
        ("POST", "/tokens", [], b'{"name":"x"}', 400),
        ("POST", "/tokens", [("Content-Type", "application/json")], b'{"name":', 400),
        ("POST", "/tokens", [("Content-Type", "application/json")], b'"\xff"', 400),
        ("POST", "/tokens", [("Content-Type", "application/json")], b"[]", 400),
        ("POST", "/tokens", [("Content-Type", "application/json"), ("Content-Encoding", "gzip")], b"{}", 400),
        ("POST", "/tokens/ci/revoke", [], b"something", 400),
        ("GET", "/audit?limit=0", [], None, 400),
        ("GET", "/audit?limit=ten", [], None, 400),
        ("GET", "/audit?limit=1&limit=2", [], None, 400),
        ("GET", "/audit?colour=red", [], None, 400),
        ("GET", "/audit?%ff=1", [], None, 400),
        ("GET", "/connections/NO", [], None, 404),
        ("GET", "/connections/..%2fhq", [], None, 404),
        ("GET", "/connections/hq/", [], None, 404),
        ("GET", "", [], None, 404),
    ],
)
async def test_what_is_not_in_the_document_is_refused_in_the_one_format(admin, method, path, headers, body, status):
    answer = await admin.send(method, ROOT + path, headers, body)
    assert answer.status == status, answer.body
    assert set(answer.json()) == {"errorMessages", "errors", "tunnel"}
    assert answer.json()["tunnel"]["request_id"] == answer.header("X-Request-ID")
    assert answer.header("Server-Timing")


async def test_a_known_path_names_the_methods_that_would_do(admin):
    answer = await admin.ask("PUT", "/connections/hq")
    assert answer.outcome == (405, "method_not_allowed", "gateway", "no")
    assert answer.header("Allow") == "DELETE, GET, PATCH"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_a_bound(world, admin, chunked):
    body = b" " * (MIB + 1)
    headers = [("Content-Type", "application/json")]
    answer = await admin.send("POST", f"{ROOT}/tokens", headers, body, chunked=chunked)
    assert answer.outcome == (413, "body_too_large", "gateway", "no")
    await until(lambda: world.gateway.local.active == 0)


async def test_a_compressed_bomb_is_not_opened(admin):
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    answer = await admin.send("POST", f"{ROOT}/tokens", headers, gzip.compress(b"0" * 64 * MIB))
    assert answer.outcome == (400, "bad_request", "gateway", "no")


async def test_a_caller_that_hangs_up_costs_nothing(world, admin):
    fields = [("Content-Type", "application/json"), ("Content-Length", "100")]
    async with admin.open("POST", f"{ROOT}/tokens", fields) as waiting:
        waiting.writer.write(b"{")
        await until(lambda: world.gateway.local.active == 1)
    await until(lambda: world.gateway.local.active == 0)


async def test_without_the_application_behind_it_the_listener_says_so(world, admin):
    gateway = world.gateway
    absent = LocalRelay(str(world.folder / "absent.sock"), gateway.sweeper, gateway.outcomes)
    usual, gateway.door.local = gateway.door.local, absent
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(absent.run())
        await asyncio.sleep(0)
        answer = await admin.ask("GET", "/agents")
        running.cancel()
    gateway.door.local = usual
    assert answer.outcome == (503, "overloaded", "gateway", "no")
    assert answer.header("Retry-After")
