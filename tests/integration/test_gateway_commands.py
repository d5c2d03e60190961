"""The gateway's commands as real processes, beside each other and beside something on the control socket."""

import asyncio
import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic

import pytest

from certs.enrollment import parse_code
from gateway.directory import read_directory, watch
from gateway.sealing import load_secret_key
from gateway.store import database_path, open_store
from http1.sweep import Sweeper
from runtime.control import serve_control
from runtime.exits import DENIED, OK, UNAVAILABLE

COMMAND_SECONDS = 30


@pytest.fixture
def environment(tmp_path):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JIRA_")}
    ours = {
        "JIRA_GATEWAY_STATE_DIR": str(tmp_path / "state"),
        "JIRA_GATEWAY_TUNNEL_URL": "wss://gateway.example.com:8443",
    }
    return inherited | ours


@pytest.fixture
def gateway(environment):
    async def run(*words, status=OK, stdin=b""):
        async with asyncio.timeout(COMMAND_SECONDS):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", *words),
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate(stdin)
        assert process.returncode == status, (words, process.returncode, out, err)
        return out.decode()

    return run


@pytest.fixture
async def beside(tmp_path):
    """Serves the control socket as a running gateway does, with the given commands."""

    async def start(tasks, commands):
        (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
        serving = tasks.create_task(serve_control(tmp_path / "state", commands, Sweeper()))
        async with asyncio.timeout(5):
            while not (tmp_path / "state" / "control.sock").exists():
                await asyncio.sleep(0.01)
        return serving

    return start


async def test_commands_on_a_fresh_state_directory_at_once_make_one_ca_and_one_trail(gateway):
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(gateway("agents", "invite", f"agent-{index}")) for index in range(4)]
    codes = [parse_code(task.result()) for task in started]

    assert len({code.ca_fingerprint for code in codes}) == 1
    assert len({code.secret.get_secret_value() for code in codes}) == 4
    verdict = json.loads(await gateway("audit", "verify", "--json"))
    assert verdict["count"] == 4


async def test_a_running_gateway_sees_a_command_within_a_second(gateway, tmp_path):
    state = tmp_path / "state"
    key = load_secret_key(state, None)
    seen = asyncio.Queue()
    async with open_store(database_path(state, None), key, datetime.now(UTC)) as store, asyncio.TaskGroup() as tasks:
        first = await read_directory(store, key)
        watching = tasks.create_task(watch(store, key, seen.put_nowait, seen=first.version))
        await gateway("agents", "invite", "hq")
        ended = monotonic()
        async with asyncio.timeout(COMMAND_SECONDS):
            while (await seen.get()).revoked("hq", "x", "1"):
                pass
        delay = monotonic() - ended
        watching.cancel()

    assert delay < 1.0


async def test_a_secret_comes_in_on_standard_input(gateway):
    await gateway("agents", "invite", "hq")
    words = ("--via", "hq", "--credentials", "gateway", "--username", "bot", "--secret-file", "-", "--json")
    row = json.loads(await gateway("connections", "add", "main", *words, stdin=b"hunter2\n"))

    assert row["has_secret"] is True


async def test_links_of_the_running_gateway_are_shown(gateway, beside):
    links = [{"agent": "hq", "instance": "one"}, {"agent": "hq", "instance": "two"}, {"agent": "other"}]

    async def answer(_):
        return {"links": links}

    await gateway("agents", "invite", "hq")
    async with asyncio.TaskGroup() as tasks:
        serving = await beside(tasks, {"links": answer})
        listed = json.loads(await gateway("agents", "list", "--json"))
        shown = json.loads(await gateway("agents", "show", "hq", "--json"))
        table = await gateway("agents", "show", "hq")
        serving.cancel()

    assert [row["links"] for row in listed] == [2]
    assert shown["links"] == links[:2]
    assert "two" in table


async def test_a_test_of_a_connection_is_the_running_gateways(gateway, beside):
    asked = []

    async def answer(arguments):
        asked.append(arguments)
        ok = len(asked) == 1
        row = {"check": "jira", "result": "pass" if ok else "fail", "detail": "9.12.1", "action": ""}
        return {"name": arguments["name"], "ok": ok, "checks": [row]}

    await gateway("agents", "invite", "hq")
    await gateway("connections", "add", "main", "--via", "hq", "--credentials", "agent")
    await gateway("connections", "test", "main", status=UNAVAILABLE)
    async with asyncio.TaskGroup() as tasks:
        serving = await beside(tasks, {"test-connection": answer})
        table = await gateway("connections", "test", "main")
        failed = json.loads(await gateway("connections", "test", "main", "--json", status=DENIED))
        serving.cancel()

    assert "9.12.1" in table
    assert failed["ok"] is False
    assert asked == [{"name": "main"}, {"name": "main"}]


async def test_nothing_is_restored_while_the_gateway_runs(gateway, beside, tmp_path):
    await gateway("agents", "invite", "hq")
    await gateway("backup", str(tmp_path / "backup.tar"))
    async with asyncio.TaskGroup() as tasks:
        serving = await beside(tasks, {})
        await gateway("restore", "--force", str(tmp_path / "backup.tar"), status=DENIED)
        serving.cancel()


async def test_version_and_help_do_not_wait_for_big_libraries(environment):
    """200 ms is the promise; what costs more than that is importing these."""
    program = """
import sys
from gateway.__main__ import app
from runtime.exits import run_command
assert run_command(app, "jira-gateway", ["version"]) == 0
assert run_command(app, "jira-gateway", ["tokens", "create", "--help"]) == 0
heavy = {"sqlalchemy", "alembic", "cryptography", "pydantic", "aiohttp", "structlog", "websockets", "asyncio"} & set(sys.modules)
assert not heavy, heavy
"""
    async with asyncio.timeout(COMMAND_SECONDS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()

    assert process.returncode == 0
    assert out.startswith(b"jira-gateway ")


def interpreter_for_everybody():
    """An interpreter of this version that other users may run, and where it finds the installed packages."""
    for candidate in (Path(sys.executable).resolve(), Path(f"/usr/bin/python3.{sys.version_info.minor}")):
        if candidate.exists() and all(parent.stat().st_mode & 0o001 for parent in candidate.parents):
            return candidate
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(interpreter_for_everybody() is None, reason="needs an interpreter that other users may run")
async def test_run_as_root_commands_act_as_the_owner_and_read_what_only_root_may(environment, tmp_path):
    """tmp_path is root's alone: the env file, the secret and the backup lie where the owner may not look."""
    owned = Path(mkdtemp(prefix="jira-gateway-"))
    os.chown(owned, 65534, 65534)
    (tmp_path / "env").write_text(
        f"JIRA_GATEWAY_STATE_DIR={owned}\nJIRA_GATEWAY_TUNNEL_URL=wss://gateway.example.com\n"
    )
    (tmp_path / "secret").write_text("hunter2\n")
    del environment["JIRA_GATEWAY_STATE_DIR"], environment["JIRA_GATEWAY_TUNNEL_URL"]
    packages = [path for path in sys.path if path.endswith("site-packages")]
    environment["PYTHONPATH"] = ":".join([str(Path.cwd()), *packages])

    async def run(*words):
        async with asyncio.timeout(COMMAND_SECONDS):
            process = await asyncio.create_subprocess_exec(
                *(interpreter_for_everybody(), "-m", "gateway", *words, "--env-file", tmp_path / "env"),
                env=environment,
            )
            assert await process.wait() == OK

    try:
        await run("agents", "invite", "hq")
        secret = ("--credentials", "gateway", "--secret-file", tmp_path / "secret")
        await run("connections", "add", "main", "--via", "hq", *secret)
        await run("backup", tmp_path / "backup.tar")
        await run("restore", "--force", tmp_path / "backup.tar")
        owners = {path.stat().st_uid for path in owned.rglob("*")}
    finally:
        shutil.rmtree(owned)

    assert owners == {65534}
    assert (tmp_path / "backup.tar").stat().st_uid == 0
