"""`jira-gateway triggers` as real processes: beside a running gateway, waiting for events, until Ctrl-C."""

import asyncio
import json
import os
import pty
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gateway.sealing import load_secret_key
from gateway.store import Hook, Kind, NewEvent, Way, open_store
from gateway.store.event_store import open_event_store
from gateway.store.event_writing import Batch
from http1.sweep import Sweeper
from runtime.control import serve_control
from runtime.exits import DENIED, OK, CommandFailed

SECONDS = 30
STEPS = {
    "url": "http://agent.example:9091/hooks/abc",
    "secret": "s3",
    "events": ["jira:issue_created"],
    "jql": None,
    "steps": ["Open the console.", "URL: http://agent.example:9091/hooks/abc"],
}
MANUAL = {"kind": "manual", "way": "lan", "note": "the account is no administrator", "problem": None, "manual": STEPS}
ADD = ("triggers", "add", "--connection", "main", "--events", "jira:issue_created", "--name")
SENT = ("--deliver-to", "https://ci.example.com/")


@pytest.fixture
def environment(tmp_path):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JIRA_")}
    ours = {
        "JIRA_GATEWAY_STATE_DIR": str(tmp_path / "state"),
        "JIRA_GATEWAY_TUNNEL_URL": "wss://gateway.example.com:8443",
    }
    return inherited | ours


class Gateway:
    """Commands against one state directory, beside what plays the running gateway."""

    def __init__(self, state, environment):
        self.state = state
        self._environment = environment
        self.settled = MANUAL
        self.asked = []
        self.count = 0
        self.started = []

    async def start(self, *words, **streams):
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *words),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            **{**pipes, **streams},
        )
        self.started.append(process)
        return process

    async def __call__(self, *words, status=OK):
        async with asyncio.timeout(SECONDS):
            process = await self.start(*words)
            out, err = await process.communicate()
        self.err = err.decode()
        assert process.returncode == status, (words, process.returncode, out, err)
        return out.decode()

    @asynccontextmanager
    async def running(self):
        """Serve the control socket as a running gateway does."""

        async def settle(arguments):
            self.asked.append(arguments)
            if isinstance(self.settled, Exception):
                raise self.settled
            return self.settled

        async def steps(arguments):
            self.asked.append(arguments)
            return {"manual": STEPS}

        async with asyncio.TaskGroup() as tasks:
            commands = {"settle-trigger": settle, "trigger-steps": steps}
            serving = tasks.create_task(serve_control(self.state, commands, Sweeper()))
            async with asyncio.timeout(5):
                while not (self.state / "control.sock").exists():
                    await asyncio.sleep(0.01)
            yield
            serving.cancel()

    async def store(self, trigger=1, count=1, **fields):
        """Store events as the event log does, and return the numbers of their deliveries."""
        new = []
        for _ in range(count):
            self.count += 1
            event = {
                "connection": "main",
                "occurrence": f"issue-created/{self.count}",
                "type": "jira:issue_created",
                "received_at": datetime.now(UTC),
                "triggers": (trigger,),
                "body": b"{}",
            }
            new.append(NewEvent(**{**event, **fields}))
        async with open_event_store(self.state / "gateway.db") as events:
            return [row.number for made in await events.write(Batch(events=new)) for row in made]

    async def decide(self, name):
        """Give a trigger a manual hook, as the registrar does."""
        now = datetime.now(UTC)
        key = load_secret_key(self.state, None)
        async with open_store(self.state / "gateway.db", key, now) as store, store.change("gateway", now) as change:
            hook = await change.add_hook(Hook(0, "main", Way.LAN, Kind.MANUAL, "ab" * 32, now, sealed_id=b"x"))
            await change.decide_trigger(name, Kind.MANUAL, hook.id, "no administrator")
        return hook.id


@pytest.fixture
async def gateway(tmp_path, environment):
    made = Gateway(tmp_path / "state", environment)
    await made("agents", "invite", "hq")
    await made("connections", "add", "main", "--via", "hq", "--credentials", "agent")
    yield made
    for process in made.started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_new_trigger_is_settled_by_the_running_gateway_and_the_steps_are_told(gateway):
    async with gateway.running():
        out = await gateway(*ADD, "tickets", *SENT)
        err = gateway.err
        as_json = json.loads(await gateway(*ADD, "other", "--json"))

    assert out.startswith("whsec_")
    assert out.count("\n") == 1
    assert "tickets is manual, and its webhooks arrive at the agent: the account is no administrator" in err
    assert "  1. Open the console.\n  2. URL: http://agent.example:9091/hooks/abc\n" in err
    assert "Waiting" not in err
    assert as_json == MANUAL | {"name": "other", "secret": None}
    assert gateway.asked == [{"name": "tickets"}, {"name": "other"}]


async def test_the_secret_is_there_even_when_the_gateway_fails(gateway):
    gateway.settled = CommandFailed("Jira does not answer")
    async with gateway.running():
        out = await gateway(*ADD, "tickets", *SENT)
    assert out.startswith("whsec_")
    assert "Problem: Jira does not answer; see jira-gateway triggers show tickets" in gateway.err


async def test_what_jql_does_not_filter_is_said(gateway):
    gateway.settled = MANUAL | {"kind": "polled", "way": None, "note": "as asked", "manual": None}
    words = (
        "--connection",
        "main",
        "--name",
        "polled",
        "--events",
        "jira:issue_created,user_created",
        "--jql",
        "a = b",
    )
    async with gateway.running():
        await gateway("triggers", "add", *words)
    assert "polled is polled: as asked\n" in gateway.err
    assert "does not filter user_created" in gateway.err


async def test_the_steps_are_shown_again_until_the_first_event(gateway):
    await gateway(*ADD, "tickets")
    hook = await gateway.decide("tickets")
    async with gateway.running():
        await gateway("triggers", "show", "tickets")
        before = gateway.err
        as_json = json.loads(await gateway("triggers", "show", "tickets", "--json"))
        await gateway.store(hook=hook)
        await gateway("triggers", "show", "tickets")
        after = gateway.err
    assert "1. Open the console." in before
    assert as_json["manual"] == STEPS
    assert "Open the console" not in after


async def test_adding_can_wait_for_the_first_event(gateway):
    async with asyncio.timeout(SECONDS):
        process = await gateway.start(*ADD, "tickets", *SENT, "--wait")
        secret = await process.stdout.readline()
        while b"Waiting for the first event" not in await process.stderr.readline():
            pass
        hook = await gateway.decide("tickets")
        await gateway.store(hook=hook, triggers=())
        _, err = await process.communicate()
    assert secret.startswith(b"whsec_")
    assert process.returncode == OK, err
    assert err.decode().endswith("The first event has arrived.\n")


async def test_an_interrupted_wait_leaves_the_trigger(gateway):
    async with asyncio.timeout(SECONDS):
        process = await gateway.start(*ADD, "tickets", "--wait")
        while b"Waiting for the first event" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == OK, err
    assert "No longer waiting" in err.decode()
    assert [row["name"] for row in json.loads(await gateway("triggers", "list", "--json"))] == ["tickets"]


async def test_a_wait_for_a_trigger_that_is_removed_ends(gateway):
    async with asyncio.timeout(SECONDS):
        process = await gateway.start(*ADD, "tickets", "--wait")
        while b"Waiting for the first event" not in await process.stderr.readline():
            pass
        await gateway("triggers", "remove", "tickets")
        _, err = await process.communicate()
    assert process.returncode == DENIED
    assert "no trigger is named tickets" in err.decode()


async def test_in_a_terminal_a_manual_trigger_waits_by_itself(gateway):
    ours, theirs = pty.openpty()
    try:
        async with gateway.running(), asyncio.timeout(SECONDS):
            process = await gateway.start(*ADD, "tickets", stdout=theirs, stderr=theirs)
            await asyncio.to_thread(read_until, ours, b"Waiting for the first event")
            await gateway.store()
            assert await process.wait() == OK
            await asyncio.to_thread(read_until, ours, b"The first event has arrived.")
    finally:
        os.close(ours)
        os.close(theirs)


def read_until(terminal, words):
    seen = b""
    while words not in seen:
        seen += os.read(terminal, 4096)


@pytest.mark.parametrize("flags", [(), ("--json",)])
async def test_following_shows_each_event_once_until_ctrl_c(gateway, flags):
    await gateway(*ADD, "tickets")
    made = await gateway.store(count=3)
    async with asyncio.timeout(SECONDS):
        process = await gateway.start("triggers", "events", "tickets", "--follow", "--last", "2", *flags)
        shown = [await process.stdout.readline() for _ in range(2)]
        for _ in range(3):
            made += await gateway.store(count=2)
            shown += [await process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, err = await process.communicate()
    cursors = [int(json.loads(line)["cursor"]) if flags else int(line.split()[0]) for line in shown]
    assert cursors == made[1:]
    assert (process.returncode, rest, err) == (OK, b"", b"")


async def test_help_does_not_wait_for_big_libraries(environment):
    program = """
import sys
from gateway.__main__ import app
from runtime.exits import run_command
assert run_command(app, "jira-gateway", ["triggers", "add", "--help"]) == 0
heavy = {"sqlalchemy", "alembic", "cryptography", "pydantic", "aiohttp", "structlog", "standardwebhooks"} & set(sys.modules)
assert not heavy, heavy
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(SECONDS):
        await process.communicate()
    assert process.returncode == OK
