"""The agent keeps a real Jira stand-in from being hammered: refused logins, rate limits, a Jira that is not there."""

import asyncio
from time import monotonic

import pytest

from agent import jira_probe
from agent.settings import AgentSettings
from runtime.configuration import load
from tests.support.agent_identity import make_authority
from tests.support.fake_jira import FakeJira, Hang, Status
from tests.support.mini_gateway import MiniGateway, agent_settings, running, until

MYSELF = "/rest/api/2/myself"
TEST = "/rest/api/2/test"
WRONG = {"jira_token": None, "jira_username": "svc.bridge", "jira_password": "wrong"}


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
async def gateway(tmp_path, authority):
    async with MiniGateway(tmp_path / "gateway", authority) as gateway:
        yield gateway


@pytest.fixture
async def jira():
    async with FakeJira(context="/jira", base_url="https://jira.corp.example/jira") as jira:
        yield jira


def arrived(jira, path):
    """How many requests for this path Jira got, those it misbehaved on included."""
    return sum(path.encode() in record.target for record in jira.requests)


async def together(gateway, count, path=MYSELF, **options):
    exchanges = [await gateway.open("GET", path, **options) for _ in range(count)]
    for exchange in exchanges:
        await exchange.wait()
    return exchanges


async def test_a_wrong_password_is_tried_once_however_many_ask(tmp_path, gateway, jira):
    async with running(agent_settings(tmp_path, gateway, jira, **WRONG)) as agent:
        first, *others = await together(gateway, 20)
        warnings, page = agent.board.warnings(), agent.board.page()

    assert (first.status, first.meta[b"jira-login"]) == (401, b"wrong_password")
    assert {(other.code, other.progress) for other in others} == {("JIRA_LOGIN_REJECTED", "NOT_SENT")}
    assert len(jira.matching(MYSELF)) == 1
    assert jira.users["svc.bridge"].failed_logins == 1
    assert any("a login is not used any more" in warning for warning in warnings)
    assert page["jira"]["refused_logins"][0]["verdict"] == "wrong_password"


async def test_after_a_reload_it_is_tried_again_and_callers_own_logins_always_pass(tmp_path, gateway, jira):
    headers = [(b"Authorization", b"Basic c3ZjLmJyaWRnZTp3cm9uZw==")]
    async with running(agent_settings(tmp_path, gateway, jira, **WRONG)) as agent:
        await gateway.request("GET", MYSELF)
        own = [await gateway.request("GET", MYSELF, headers=headers, login="caller") for _ in range(2)]
        held = await gateway.request("GET", MYSELF)
        agent.reload()
        again = await gateway.request("GET", MYSELF)

    assert [answer.status for answer in own] == [401, 401]
    assert jira.users["svc.bridge"].failed_logins == 3  # the first and the caller's own two: not the one held back
    assert held.code == "JIRA_LOGIN_REJECTED"
    assert (again.status, again.meta[b"jira-login"]) == (403, b"captcha")


async def test_a_login_stored_at_the_gateway_is_held_back_until_it_changes(tmp_path, gateway, jira):
    bad, good = b"Bearer pat-0-of-nobody", b"Bearer pat-10412-of-svc.bridge"
    async with running(agent_settings(tmp_path, gateway, jira)):
        answers = [
            await gateway.request("GET", MYSELF, headers=[(b"Authorization", login)], login="gateway")
            for login in (bad, bad, good)
        ]

    assert (answers[0].status, answers[0].meta[b"jira-login"]) == (401, b"token_expired")
    assert (answers[1].code, answers[2].status) == ("JIRA_LOGIN_REJECTED", 200)


async def test_a_changed_password_file_counts_within_seconds(tmp_path, gateway, jira):
    file = tmp_path / "password"
    file.write_text("wrong\n")
    base = agent_settings(tmp_path, gateway, jira, jira_token=None)

    def read_settings():
        environ = {
            "JIRA_AGENT_STATE_DIR": str(base.state_dir),
            "JIRA_AGENT_GATEWAY_URL": ",".join(map(str, base.gateway_url)),
            "JIRA_AGENT_JIRA_URL": jira.url,
            "JIRA_AGENT_JIRA_USERNAME": "svc.bridge",
            "JIRA_AGENT_JIRA_PASSWORD_FILE": str(file),
            "JIRA_AGENT_ADMIN_LISTEN": "127.0.0.1:0",
            "JIRA_AGENT_POLICY_PROFILE": "full-rest",
            "JIRA_AGENT_LINKS": "1",
        }
        return load(AgentSettings, env_file=tmp_path / "none.env", environ=environ)

    (tmp_path / "none.env").touch()
    async with running(read_settings(), read_settings):
        refused = [await gateway.request("GET", MYSELF) for _ in range(2)]
        file.write_text("password-of-svc.bridge\n")
        began = monotonic()
        while (answer := await gateway.request("GET", MYSELF)).status != 200 and monotonic() - began < 5:
            await asyncio.sleep(0.1)

    assert [(one.status, one.code) for one in refused] == [(401, None), (0, "JIRA_LOGIN_REJECTED")]
    assert answer.status == 200
    assert len(jira.matching(MYSELF)) == 2


async def test_a_short_rate_limit_is_waited_for_and_no_write_goes_twice(tmp_path, gateway, jira):
    limit = Status(429, (("Retry-After", "1"), ("X-AUSERNAME", "svc.bridge")), '{"message":"Rate limit exceeded."}')
    jira.misbehave(f"{TEST}/echo", limit, times=1)
    async with running(agent_settings(tmp_path, gateway, jira)):
        passed_on = await gateway.request("POST", f"{TEST}/echo", body=b"one")
        began = monotonic()
        after = await gateway.request("POST", f"{TEST}/echo", body=b"two")
        waited = monotonic() - began

    assert (passed_on.status, passed_on.header(b"Retry-After")) == (429, b"1")
    assert after.status == 200
    assert 0.8 <= waited < 3
    assert arrived(jira, "/test/echo") == 2


async def test_a_long_rate_limit_is_told_without_asking_jira_again(tmp_path, gateway, jira):
    jira.misbehave(f"{TEST}/echo", Status(429, (("Retry-After", "60"),)), times=1)
    async with running(agent_settings(tmp_path, gateway, jira)):
        await gateway.request("GET", f"{TEST}/echo")
        told = await gateway.request("GET", f"{TEST}/echo")
        other = await gateway.request(
            "GET", MYSELF, headers=[(b"Authorization", b"Bearer pat-10500-of-readonly")], login="caller"
        )

    assert (told.status, told.meta[b"problem"]) == (429, b"rate_limited")
    assert 55 <= int(told.header(b"Retry-After")) <= 60
    assert other.status == 200
    assert arrived(jira, "/test/echo") == 1


async def test_a_jira_that_hangs_is_left_alone_until_a_probe_succeeds(tmp_path, gateway, jira, monkeypatch):
    monkeypatch.setattr(jira_probe, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(jira_probe, "OPEN_SECONDS", 0.1)
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        assert (await gateway.request("GET", MYSELF)).status == 200
        jira.misbehave("/", Hang())
        hung = await together(gateway, 5, f"{TEST}/echo", timeout=1.0)
        refused = await gateway.request("POST", f"{TEST}/echo", body=b"{}")
        page, headline = agent.board.page()["jira"], agent.board.headline()
        await until(lambda: arrived(jira, "/jira/status") > 1)
        jira.behave()
        await until(lambda: agent.board.page()["jira"]["unavailable_since"] is None)
        after = await gateway.request("POST", f"{TEST}/echo", body=b"{}")

    assert {answer.code for answer in hung} == {"JIRA_TIMEOUT"}
    assert (refused.code, refused.progress) == ("JIRA_UNAVAILABLE", "NOT_SENT")
    assert "no sign within 1 s" in page["unavailable_reason"]
    assert "Jira is not available since 20" in headline
    assert after.status == 200
    assert sum(record.method == "POST" for record in jira.requests) == 1


async def test_a_jira_in_maintenance_is_understood_and_waited_for(tmp_path, gateway, jira, monkeypatch):
    monkeypatch.setattr(jira_probe, "OPEN_SECONDS", 0.1)
    jira.state = "STARTING"
    async with running(agent_settings(tmp_path, gateway, jira)) as agent:
        refused = await gateway.request("GET", MYSELF)
        page = agent.board.page()["jira"]
        jira.state = "RUNNING"
        await until(lambda: agent.board.page()["jira"]["state"] == "RUNNING")
        after = await gateway.request("GET", MYSELF)

    assert (refused.code, after.status) == ("JIRA_UNAVAILABLE", 200)
    assert "Jira is starting (state STARTING)" in refused.reset[2]
    assert page["state"] == "STARTING"
