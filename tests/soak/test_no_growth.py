"""A million requests of all kinds: memory, file descriptors and tasks of both programs stay what they were."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import answers
from tests.support.metrics_page import samples
from tests.support.sluggish import LOGIN
from tests.support.stack import Stack, page
from tests.support.transfers import MIB, resident

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

REQUESTS = 1_000_000
GROWTH = 8 * MIB
SLICE_SECONDS = 4.0
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"fields": {"summary": "' .. string.rep("x", 2000) .. '"}}'
"""


def _answered(stack):
    found = samples(page(stack.admin_port, "/metrics")[1].decode())
    return sum(value for name, value in found.items() if name.startswith("jira_gateway_answers_total"))


def _hang_up(stack, token, count):
    """So many callers that are gone before their answer, half of them in the middle of a body."""
    for number in range(count):
        with socket.create_connection(("127.0.0.1", stack.api_port)) as sock:
            length = "Content-Length: 100000\r\n" if number % 2 else ""
            start = f"{'POST' if number % 2 else 'GET'} /jira/hq{answers.BULK} HTTP/1.1\r\nHost: x\r\n{length}"
            sock.sendall(f"{start}Authorization: Bearer {token}\r\n\r\nbegun".encode())


def _figures(stack, agent):
    """Memory, file descriptors and tasks of both programs at rest."""
    time.sleep(12)  # kept sockets towards Jira and lingering ones are gone
    found = {}
    for name, pid, port in (("gateway", stack.gateway.pid, stack.admin_port), ("agent", agent.pid, agent.admin_port)):
        metrics = samples(page(port, "/metrics")[1].decode())
        tasks = metrics[f"jira_{name}_event_loop_tasks"]
        found[name] = (resident(pid), sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()), int(tasks))
    return found


def test_a_million_requests_leave_memory_files_and_tasks_as_they_were(tmp_path, upstream, capsys):
    script = tmp_path / "post.lua"
    script.write_text(POST)
    with Stack(tmp_path / "stack", f"http://127.0.0.1:{upstream}", log_level="error") as stack:
        agent = stack.start_gateway().enroll("hq", **LOGIN).start_and_wait()
        token = stack.connect("hq")
        small, header = f"{stack.url}/jira/hq{answers.SMALL}", ["-H", f"Authorization: Bearer {token}"]
        kinds = [
            ["-c", "64", *header, small],
            ["-c", "16", "-s", str(script), *header, small],
            ["-c", "8", *header, "-H", "Connection: close", small],
            ["-c", "16", *header, f"{stack.url}/jira/hq/rest/api/2/none"],
            ["-c", "16", f"{stack.url}/jira/hq/rest/api/2/without-a-token"],
        ]
        seen, began = {}, time.monotonic()
        for share in (0.1, 0.5, 1.0):
            while _answered(stack) < REQUESTS * share:
                for kind in kinds:
                    command = ["wrk", "-t", "1", "-d", f"{SLICE_SECONDS:g}s", "--timeout", "10s", *kind]
                    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
                _hang_up(stack, token, 200)
            seen[share] = _figures(stack, agent)
        count, seconds = _answered(stack), time.monotonic() - began
    with capsys.disabled():
        sys.stdout.write(f"\n{count:.0f} requests in {seconds:.0f} s\n")
        for share, figures in seen.items():
            for name, (memory, files, tasks) in figures.items():
                sys.stdout.write(f"{share:4.0%} {name}: {memory / MIB:.1f} MiB, {files} files, {tasks} tasks\n")
    for name in ("gateway", "agent"):
        early, late = seen[0.1][name], seen[1.0][name]
        assert late[0] - early[0] <= GROWTH, (name, early, late)
        assert late[1] <= early[1] + 4, (name, early, late)
        assert late[2] <= early[2] + 2, (name, early, late)
