"""Enrolling as a person does it, on a real terminal, and as a script does it, without one."""

import asyncio
import json
import os
import sys

import pytest

from agent import app
from tests.integration.test_agent_commands import command
from tests.support.agent_identity import make_authority
from tests.support.fake_jira import FakeJira
from tests.support.mini_gateway import MiniGateway, agent_settings
from tests.support.terminal import Terminal

ENROLL = [sys.executable, "-m", "agent", "enroll"]


@pytest.fixture
async def gateway(tmp_path):
    async with MiniGateway(tmp_path / "gateway", make_authority()) as gateway:
        yield gateway


@pytest.fixture
def site(tmp_path):
    """The environment of a machine with an env file and nothing else."""
    env_file = tmp_path / "agent.env"
    env_file.write_text("# Jira's base URL\n#JIRA_AGENT_JIRA_URL=\n")
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JIRA_AGENT_") and "proxy" not in name.lower()
    }
    env |= {"JIRA_AGENT_STATE_DIR": str(tmp_path / "state"), "JIRA_AGENT_ADMIN_LISTEN": "127.0.0.1:0"}
    return env, env_file


def at_terminal(site, *words):
    env, env_file = site
    return Terminal([*ENROLL, *words, "--env-file", str(env_file)], env)


def everything_below(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


async def test_a_person_is_asked_for_what_is_missing_and_the_code_shows_nowhere(site, gateway, tmp_path):
    _, code = gateway.invite()
    async with FakeJira(context="/jira") as jira:

        def converse():
            with at_terminal(site) as terminal:
                terminal.expect("Enrolment code")
                terminal.type(code[:-9])
                terminal.expect("incomplete or mistyped")
                terminal.expect("Enrolment code")
                terminal.type(code)
                terminal.expect("Jira's base URL")
                terminal.type("jira.corp.local")
                terminal.expect("That does not begin with https:// or http://")
                terminal.type(jira.url)
                terminal.expect("Policy profile [read-only]")
                terminal.type("everything")
                terminal.expect("Policy profile")
                terminal.type("issues")
                terminal.expect("[y/N]")
                terminal.type("y")
                terminal.expect("enrolled as site-a/i9")
                terminal.expect("start the agent")
                terminal.expect("nothing failed")
                return terminal.wait(), terminal.shown

        status, shown = await asyncio.to_thread(converse)

    assert status == 0
    assert code not in shown
    assert code[:-9] not in shown
    _, env_file = site
    assert (
        env_file.read_text() == f"# Jira's base URL\nJIRA_AGENT_JIRA_URL={jira.url}\nJIRA_AGENT_POLICY_PROFILE=issues\n"
    )
    written = everything_below(tmp_path / "state") + env_file.read_bytes()
    assert code.encode() not in written
    assert not any(request.header("Authorization") for request in jira.requests)


async def test_without_consent_nothing_is_written_and_the_lines_are_told(site, gateway):
    _, code = gateway.invite()

    def converse():
        with at_terminal(site) as terminal:
            terminal.expect("Enrolment code")
            terminal.type(code)
            terminal.expect("Jira's base URL")
            terminal.type("https://jira.invalid/jira")
            terminal.expect("Policy profile")
            terminal.type("")
            terminal.expect("[y/N]")
            terminal.type("")
            terminal.expect("Put that into")
            terminal.expect("enrolled as")
            return terminal.wait(), terminal.shown

    status, shown = await asyncio.to_thread(converse)
    assert status == 0
    assert "JIRA_AGENT_POLICY_PROFILE=read-only" in shown
    assert "set JIRA_AGENT_JIRA_URL" in shown
    assert site[1].read_text() == "# Jira's base URL\n#JIRA_AGENT_JIRA_URL=\n"


@pytest.mark.parametrize(("key", "status"), [("\x03", 130), ("\x04", 2)])
def test_a_person_who_leaves_leaves_everything_as_it_was(site, tmp_path, key, status):
    with at_terminal(site) as terminal:
        terminal.expect("Enrolment code")
        terminal.press(key)
        assert terminal.wait() == status
        assert "Traceback" not in terminal.shown
    assert not (tmp_path / "state").exists()


def test_on_a_terminal_too_nothing_is_asked_when_that_is_said(site):
    with at_terminal(site, "--no-input") as terminal:
        assert terminal.wait() == 2
        assert "no enrolment code" in terminal.shown


async def enrol(site, *words, stdin="", **env):
    base, env_file = site
    return await command("enroll", *words, "--env-file", str(env_file), env={**base, **env}, stdin=stdin)


async def test_a_script_runs_the_same_command_twice_and_the_second_changes_nothing(site, gateway, tmp_path):
    _, code = gateway.invite()
    first = await enrol(site, "-", stdin=code)
    assert (first[0], "enrolled as" in first[1], "doctor" in first[2]) == (0, True, True)
    before = everything_below(tmp_path / "state")
    gateway.secret_hash = b""
    for words, env in ((("-",), {}), ((), {"JIRA_AGENT_ENROLL_CODE": code})):
        status, out, err = await enrol(site, *words, stdin=code, **env)
        assert (status, out, "Nothing was changed" in err) == (0, "already enrolled as site-a/i9\n", True)
    assert json.loads((await enrol(site, "--json"))[1])["changed"] is False
    assert everything_below(tmp_path / "state") == before

    status, _, err = await enrol(site, "-", "--force", stdin=code)
    assert (status, "used, expired" in err) == (1, True)
    assert everything_below(tmp_path / "state") == before


async def test_a_new_code_enrols_again_and_settings_go_where_they_belong(site, gateway, tmp_path):
    _, code = gateway.invite()
    assert (await enrol(site, "-", stdin=code))[0] == 0
    pair = (tmp_path / "state" / "agent.pem").read_bytes()
    _, another = gateway.invite()
    words = ("-", "--jira-url", "https://jira.corp.local/jira/", "--profile", "issues", "--write-env", "--json")
    status, out, _ = await enrol(site, *words, stdin=another)
    assert (status, json.loads(out)["changed"]) == (0, True)
    assert (tmp_path / "state" / "agent.pem").read_bytes() != pair
    assert "JIRA_AGENT_JIRA_URL=https://jira.corp.local/jira\n" in site[1].read_text()
    status, _, err = await enrol(
        site, "-", "--jira-url", "nowhere", stdin=another, JIRA_AGENT_STATE_DIR=str(tmp_path / "b")
    )
    assert (status, "--jira-url does not begin with" in err) == (2, True)


async def test_a_waiting_agent_takes_what_the_enrolment_wrote(site, gateway, tmp_path):
    """The service was started before anybody knew Jira's address, as a package does it."""
    from tests.integration.test_agent_commands import started

    env, env_file = site
    async with FakeJira() as jira:
        agent = await started("run", "--env-file", str(env_file), env=env)
        try:
            _, code = gateway.invite()
            words = ("-", "--jira-url", jira.url, "--write-env")
            assert (await enrol(site, *words, stdin=code))[0] == 0
            await gateway.link(seconds=15)
            assert (await gateway.request("GET", "/rest/api/2/serverInfo", login="caller")).status == 200
        finally:
            agent.terminate()
            async with asyncio.timeout(15):
                await agent.communicate()


async def test_an_agent_that_is_enrolled_while_it_starts_reads_the_settings_that_came_with_it(
    tmp_path, gateway, monkeypatch
):
    class Started:
        def __init__(self, settings, read_settings):
            self.settings = settings
            begun.append(self)

        async def run(self):
            pass

        def stop(self):
            pass

        reload = stop

    begun = []
    monkeypatch.setattr(app, "Agent", Started)
    complete = agent_settings(tmp_path, gateway)
    await app.main(complete.model_copy(update={"jira_url": None}), lambda: complete)
    assert [each.settings for each in begun] == [complete]
