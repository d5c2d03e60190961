"""Who may call what, with which login Jira is asked, and which headers pass: the real gateway and a real agent."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
import pytest_asyncio

from gateway.store import Scope
from tests.support.caller import Caller
from tests.support.fake_jira import FakeJira
from tests.support.in_process import running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOMAIN = "gw.example"
MYSELF = "/rest/api/2/myself"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with (
        FakeJira(context="/jira", base_url="https://jira.corp.example/jira") as jira,
        running_gateway(tmp_path_factory.mktemp("stack"), connection_domain=DOMAIN) as stack,
    ):
        stack.jira = jira
        await stack.enroll("hq", jira)
        await stack.connect("hq")
        await stack.connect("other", "hq")
        await stack.connect("stored", "hq", "gateway", username="ines.ferro", secret="password-of-ines.ferro")
        await stack.connect("pat", "hq", "gateway", secret="pat-10208-of-omar.haddad")
        await stack.connect("own", "hq", "caller")
        await stack.connect("own-raw", "hq", "caller", rewrite_links=False)
        yield stack


@pytest.fixture
def jira(world):
    world.jira.behave()
    world.jira.requests.clear()
    return world.jira


# -- the gateway token


@pytest.mark.parametrize(
    "login",
    [
        lambda token: f"Bearer {token}",
        lambda token: f"bearer {token}",
        lambda token: basic("anybody", token),
        lambda token: basic("", token),
    ],
)
async def test_the_token_is_a_bearer_token_or_a_basic_password(world, jira, login):
    token = await world.token("hq")
    answer = await Caller(world.port).send("GET", f"/jira/hq{MYSELF}", [("Authorization", login(token))])

    assert (answer.status, answer.json()["name"]) == (200, "svc.bridge")
    [request] = jira.matching(MYSELF)
    assert request.target == b"/jira/rest/api/2/myself"
    assert token.encode() not in request.raw_head
    assert base64.b64encode(token.encode())[:16] not in request.raw_head


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer jtg_wrong")],
        [("Authorization", "Bearer")],
        [("Authorization", basic("svc.bridge", "password-of-svc.bridge"))],
        [("Authorization", "Basic %%%")],
        [("Authorization", "Digest jtg_x")],
        [("Tunnel-Authorization", "Bearer wrong")],
    ],
)
@pytest.mark.parametrize("path", ["/jira/hq/rest/api/2/myself", "/jira/none/x", "/", "/favicon.ico"])
async def test_without_a_token_nobody_is_told_anything(world, jira, headers, path):
    answer = await Caller(world.port).send("GET", path, headers)

    assert answer.outcome == (401, "unauthenticated", "gateway", "no")
    assert answer.header("WWW-Authenticate") == 'Basic realm="jira-tunnel"'
    assert answer.header("Retry-After") is None
    assert jira.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer {token}"), ("authorization", "Bearer {token}")],
        [("Tunnel-Authorization", "Bearer {token}"), ("Tunnel-Authorization", "Bearer x")],
        [("Authorization", "Bearer {token}"), ("Tunnel-Timeout", "1"), ("Tunnel-Timeout", "2")],
    ],
)
async def test_a_repeated_login_is_refused(world, jira, headers):
    token = await world.token("hq")
    answer = await Caller(world.port).send(
        "GET", f"/jira/hq{MYSELF}", [(name, value.format(token=token)) for name, value in headers]
    )

    assert answer.outcome == (400, "bad_request", "gateway", "no")
    assert jira.requests == []


async def test_a_token_reaches_only_the_connections_it_names(world, jira):
    caller = await world.caller("hq")

    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).status == 200
    for name in ("other", "does-not-exist"):
        answer = await caller.send("GET", f"/jira/{name}{MYSELF}")
        assert answer.outcome == (403, "forbidden", "gateway", "no")


async def test_a_connection_that_is_gone_is_unknown_to_the_tokens_that_name_it(world, jira):
    await world.connect("brief", "hq")
    caller = await world.caller("brief")
    async with world.stored.store.change("test", datetime.now(UTC)) as change:
        await change.remove_connection("brief", force=True)
    await world.apply()
    answer = await caller.send("GET", f"/jira/brief{MYSELF}")

    assert answer.outcome in {
        (404, "connection_unknown", "gateway", "no"),
        (403, "forbidden", "gateway", "no"),  # removing it took it out of the token as well
    }


async def test_a_token_for_events_may_not_call(world, jira):
    caller = await world.caller("hq", scopes=frozenset({Scope.EVENTS}))

    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).outcome[:2] == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", MYSELF, 200),
        ("HEAD", MYSELF, 200),
        ("POST", "/rest/api/2/search", 200),
        ("POST", "/rest/api/2/issue", 403),
        ("PUT", "/rest/api/2/issue/OPS-1", 403),
        ("DELETE", "/rest/api/2/issue/OPS-1", 403),
        ("GET", "/secure/admin", 403),
    ],
)
async def test_a_read_only_token_reads(world, jira, method, path, status):
    caller = await world.caller("hq", read_only=True)
    body = b'{"jql":""}' if method in {"POST", "PUT"} else None
    answer = await caller.send(method, f"/jira/hq{path}", [("Content-Type", "application/json")], body)

    assert answer.status == status
    if status == 403:
        assert answer.outcome == (403, "forbidden", "gateway", "no")
        assert jira.requests == []


async def test_an_expired_token_is_worth_nothing(world, jira):
    caller = await world.caller("hq", expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).status == 401


@pytest.mark.alone
async def test_a_revoked_token_is_worth_nothing_within_a_second(world, jira):
    caller = await world.caller("hq", name="short-lived")
    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).status == 200
    async with world.stored.store.change("test", datetime.now(UTC)) as change:
        await change.revoke_token("short-lived")
    revoked = monotonic()
    while (await caller.send("GET", f"/jira/hq{MYSELF}")).status != 401:
        assert monotonic() - revoked < 1.0
        await asyncio.sleep(0.02)


async def test_a_token_has_its_rate(world, jira):
    caller = await world.caller("hq", rate=2.0)
    answers = [await caller.send("GET", f"/jira/hq{MYSELF}") for _ in range(4)]
    limited = [answer for answer in answers if answer.status == 429]

    assert [answer.status for answer in answers[:2]] == [200, 200]
    assert limited
    assert limited[0].outcome == (429, "rate_limited", "gateway", "no")
    assert limited[0].header("Retry-After") == "1"


# -- addresses


@pytest.mark.parametrize("path", ["", "/", "?x=1", "/rest/api/2/none"])
async def test_a_path_that_is_not_ours_is_not_found(world, jira, path):
    caller = await world.caller("hq")

    assert (await caller.send("GET", f"/somewhere{path}")).outcome == (404, "not_found", "gateway", "no")


@pytest.mark.parametrize("host", ["hq.gw.example", "HQ.GW.Example", "hq.gw.example:8443"])
@pytest.mark.parametrize("context", ["/jira", ""])
async def test_a_host_name_addresses_a_connection_with_and_without_context_path(world, jira, host, context):
    caller = await world.caller("hq", host=host)
    answer = await caller.send("GET", f"{context}/rest/api/2/issue/OPS-1?fields=summary&a=%20%2B")

    assert answer.status == 200
    assert jira.requests[0].target == b"/jira/rest/api/2/issue/OPS-1?fields=summary&a=%20%2B"


async def test_a_host_name_below_no_domain_of_ours_is_no_address(world, jira):
    caller = await world.caller("hq", host="hq.elsewhere.example")

    assert (await caller.send("GET", MYSELF)).outcome[:2] == (404, "not_found")
    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).status == 200


async def test_the_host_name_wins_over_the_path(world, jira):
    caller = await world.caller("hq", host="other.gw.example")

    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).outcome[:2] == (403, "forbidden")


@pytest.mark.parametrize(
    "path",
    ["/rest/api/2/..;/x", "/rest/../secure/x", "/rest//api", "/rest/%2e%2e/x", "/rest/api/2/issue/%252e", "/%73%00"],
)
@pytest.mark.parametrize("host", ["", "hq.gw.example"])
async def test_an_ambiguous_path_is_refused(world, jira, path, host):
    caller = await world.caller("hq", host=host)
    answer = await caller.send("GET", path if host else f"/jira/hq{path}")

    assert answer.outcome == (400, "bad_request", "gateway", "no")
    assert jira.requests == []


# -- three kinds of credentials


async def test_credentials_of_the_agent_never_come_from_the_caller(world, jira):
    token = await world.token("hq")
    headers = [("Tunnel-Authorization", f"Bearer {token}"), ("Authorization", basic("admin", "password-of-admin"))]
    answer = await Caller(world.port).send("GET", f"/jira/hq{MYSELF}", [*headers, ("Cookie", "JSESSIONID=stolen")])

    assert answer.json()["name"] == "svc.bridge"
    [request] = jira.requests
    assert request.header("Cookie") is None
    assert request.header("Authorization") == b"Bearer pat-10412-of-svc.bridge"


@pytest.mark.parametrize(("connection", "user"), [("stored", "ines.ferro"), ("pat", "omar.haddad")])
async def test_credentials_of_the_gateway_are_basic_with_a_user_name_and_bearer_without(world, jira, connection, user):
    caller = await world.caller(connection)
    answer = await caller.send("GET", f"/jira/{connection}{MYSELF}", [("Cookie", "JSESSIONID=stolen")])

    assert answer.json()["name"] == user
    assert jira.requests[0].header("Cookie") is None


async def test_credentials_of_the_caller_go_to_jira_untouched(world, jira):
    token = await world.token("own")
    login = basic("omar.haddad", "password-of-omar.haddad")
    headers = [("Tunnel-Authorization", f"Bearer {token}"), ("Authorization", login), ("Cookie", "a=b")]
    answer = await Caller(world.port).send("GET", f"/jira/own{MYSELF}", headers)

    assert answer.json()["name"] == "omar.haddad"
    [request] = jira.requests
    assert request.header("Authorization") == login.encode()
    assert request.header("Cookie") == b"a=b"
    assert b"jtg_" not in request.raw_head


async def test_a_wrong_login_of_the_caller_is_jiras_answer(world, jira):
    token = await world.token("own")
    headers = [("Tunnel-Authorization", f"Bearer {token}"), ("Authorization", basic("omar.haddad", "wrong"))]
    answer = await Caller(world.port).send("GET", f"/jira/own{MYSELF}", headers)

    assert answer.status == 401
    assert answer.header("Tunnel-Error") is None


@pytest.mark.parametrize("shape", ["Bearer {}", "{basic}", "Whatever {}"])
async def test_a_gateway_token_is_never_forwarded_as_jiras_login(world, jira, shape):
    token = await world.token("own")
    leaked = shape.format(token, basic=basic("x", token))
    for headers in (
        [("Tunnel-Authorization", f"Bearer {token}"), ("Authorization", leaked)],
        [("Authorization", leaked)],
    ):
        answer = await Caller(world.port).send("GET", f"/jira/own{MYSELF}", headers)
        assert answer.outcome in {(400, "bad_request", "gateway", "no"), (401, "unauthenticated", "gateway", "no")}
    assert jira.requests == []


@pytest.mark.parametrize(
    ("headers", "query"),
    [([("Authorization", 'OAuth oauth_consumer_key="k"')], ""), ([], "?oauth_signature=x&oauth_token=y")],
)
async def test_oauth_1_is_refused_with_a_reason(world, jira, headers, query):
    token = await world.token("own")
    fields = [("Tunnel-Authorization", f"Bearer {token}"), *headers]
    answer = await Caller(world.port).send("GET", f"/jira/own{MYSELF}{query}", fields)

    assert answer.outcome == (400, "bad_request", "gateway", "no")
    assert "OAuth 1.0a" in answer.json()["errorMessages"][0]
    assert jira.requests == []


# -- cookies and headers on the way back


async def test_cookies_of_jira_stay_there_unless_the_caller_has_its_own_login(world, jira):
    caller = await world.caller("hq")

    assert (await caller.send("GET", f"/jira/hq{MYSELF}")).all("Set-Cookie") == []


@pytest.mark.parametrize(
    ("connection", "host", "path"),
    [
        ("own", "", "/jira/own"),
        ("own-raw", "", "/jira/own-raw"),
        ("own", "own.gw.example", "/jira"),
        ("own-raw", "own-raw.gw.example", "/jira"),
    ],
)
async def test_cookies_work_at_our_address_with_the_callers_login(world, jira, connection, host, path):
    token = await world.token(connection)
    login = ("Authorization", basic("omar.haddad", "password-of-omar.haddad"))
    target = f"/jira{MYSELF}" if host else f"/jira/{connection}{MYSELF}"
    answer = await Caller(world.port, host=host).send(
        "GET", target, [("Tunnel-Authorization", f"Bearer {token}"), login]
    )
    cookies = answer.all("Set-Cookie")

    assert any(cookie.startswith("JSESSIONID=") for cookie in cookies)
    assert all(f"; Path={path}" in cookie for cookie in cookies)


async def test_every_answer_of_jira_says_its_id_and_where_the_time_went(world, jira):
    caller = await world.caller("hq")
    first, second = [await caller.send("GET", f"/jira/hq{MYSELF}", [("X-Request-ID", "theirs")]) for _ in range(2)]

    assert len(first.all("X-Request-ID")) == 1
    assert first.header("X-Request-ID") not in {second.header("X-Request-ID"), "theirs"}
    parts = dict(part.strip().split(";dur=") for part in first.header("Server-Timing").split(","))
    assert set(parts) == {"gateway", "tunnel", "jira"}
    assert float(parts["jira"]) > 0


async def test_headers_that_claim_an_identity_never_reach_jira(world, jira):
    caller = await world.caller("hq")
    names = ["Remote-User", "X-Forwarded-User", "X-Forwarded-For", "Forwarded", "X-Original-URL", "Origin", "Referer"]
    await caller.send("GET", f"/jira/hq{MYSELF}", [(name, "admin") for name in names])

    seen = {name.lower() for name in jira.requests[0].header_names()}
    assert not seen & {name.lower() for name in names}
