"""2xx means: on the disk. Seen from outside, at both ways in: the order of system calls, and a disk that is full."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.event_site import event_site
from tests.support.stack import page, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CALLS = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync"


def post(url, number, size=100):
    """Post a webhook as Jira does; return the status of the answer, 0 when nobody listens."""
    body = {
        "timestamp": 1767225600000 + number,
        "webhookEvent": "jira:issue_created",
        "issue": {"id": str(900_000 + number), "key": f"OPS-{number}", "fields": {"summary": "x" * size}},
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 0


def webhook_url(site):
    [webhook] = site.jira.call("webhooks")
    return webhook["url"]


@contextmanager
def traced(pid, trace):
    """Trace a running program."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    words = ["strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(trace), "-p", str(pid)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.kill()
            pytest.skip(line.strip())
        yield
        time.sleep(0.3)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def order_of(trace, database):
    """Return what happened in order: `request` read, database `synced`, `answer` written."""
    found = []
    pending = {}
    for line in trace.read_text(errors="replace").splitlines():
        pid = line.partition(" ")[0]
        if "POST /hooks/" in line:
            found.append("request")
        elif "HTTP/1.1 204" in line:
            found.append("answer")
        elif re.search(rf"f(?:data)?sync\(\d+<[^>]*{database}", line):
            pending[pid] = True
            if line.endswith(" = 0"):
                found.append("synced")
        elif "sync resumed" in line and pending.pop(pid, False):
            found.append("synced")
    return found


@pytest.mark.parametrize(("way", "database"), [("lan", r"spool\.db-wal"), ("internet", r"gateway\.db-wal")])
def test_the_disk_is_synced_before_jira_is_told(tmp_path, way, database):
    with event_site(tmp_path) as site:
        site.subscribe("all", "jira:issue_created", "--way", way)
        program = site.agent if way == "lan" else site.stack.gateway
        trace = tmp_path / "trace"
        with traced(program.pid, trace):
            assert post(webhook_url(site), 1) == 204
        steps = order_of(trace, database)
        request, answer = steps.index("request"), steps.index("answer")
        assert "synced" in steps[request:answer], steps


@contextmanager
def small_disk(folder, size):
    """A file system of its own, of `size` bytes; needs root."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)]
    if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_of_the_gateway_is_503_never_2xx_and_recovers_by_itself(tmp_path):
    with small_disk(tmp_path / "gateway", 8 << 20), event_site(tmp_path) as site:
        subscriber = site.subscribe("all", "jira:issue_created", "--way", "internet")
        url, accepted, statuses = webhook_url(site), [], set()
        ballast = tmp_path / "gateway" / "ballast"
        ballast.write_bytes(bytes(4 << 20))
        for number in range(20):
            status = post(url, number, 400_000)
            statuses.add(status)
            if status == 204:
                accepted.append(number)
        assert statuses == {204, 503}
        assert b"jira_gateway_event_log_ok 0" in page(site.stack.admin_port, "/metrics")[1]

        ballast.unlink()
        wait_until(lambda: post(url, 1000, 1000) == 204, "webhooks are taken again", 20)
        wanted = {site.message_id(f"issue-created/{900_000 + number}", "all") for number in [*accepted, 1000]}
        assert subscriber.wait_for_ids(wanted, 30) == set()
        assert site.stack.gateway.is_running


def test_a_full_disk_of_the_agent_is_503_never_2xx_and_recovers_by_itself(tmp_path):
    state = tmp_path / "disk"
    with small_disk(state, 24 << 20), event_site(tmp_path) as site:
        subscriber = site.subscribe("all", "jira:issue_created")
        url = webhook_url(site)
        site.agent.stop()
        shutil.copytree(site.agent.state_dir, state, dirs_exist_ok=True)
        site.agent.settings["JIRA_AGENT_STATE_DIR"] = str(state)
        site.stack.gateway.stop()  # nobody takes what is spooled
        site.agent.start()
        wait_until(lambda: post(url, 0) == 204, "the agent takes webhooks", 20)
        accepted, statuses = [0], set()
        for number in range(1, 120):
            status = post(url, number, 200_000)
            statuses.add(status)
            if status == 204:
                accepted.append(number)
        assert statuses == {204, 503}
        assert "spool" in json.dumps(json.loads(page(site.agent.admin_port, "/status")[1])["warnings"])

        site.stack.start_gateway()
        wait_until(lambda: post(url, 1000, 1000) == 204, "webhooks are taken again", 30)
        wanted = {site.message_id(f"issue-created/{900_000 + number}", "all") for number in [*accepted, 1000]}
        assert subscriber.wait_for_ids(wanted, 60) == set()
        wait_until(
            lambda: any(
                event["type"] == "gap" and event["payload"]["cause"] == "spool_full" for event in subscriber.events
            ),
            "the gap is told",
            60,
        )


def test_a_spool_of_its_size_is_503_and_says_so(tmp_path):
    with event_site(tmp_path, agent_settings={"JIRA_AGENT_SPOOL_MAX_BYTES": str(1 << 20)}) as site:
        site.subscribe("all", "jira:issue_created")
        url = webhook_url(site)
        site.stack.gateway.stop()
        statuses = [post(url, number, 100_000) for number in range(20)]
        assert statuses[0] == 204
        assert statuses[-1] == 503
        assert b"jira_agent_spool_bytes" in page(site.agent.admin_port, "/metrics")[1]
        assert "full" in site.agent.command("status").stdout


def test_an_unknown_address_is_404_on_both_ways_and_leaves_nothing(tmp_path):
    with event_site(tmp_path) as site:
        site.subscribe("all", "jira:issue_created")
        for url in (site.stack.url, f"http://127.0.0.1:{site.webhook_port}"):
            assert post(f"{url}/hooks/{'x' * 43}", 1) == 404
        assert site.show("all")["counts"]["pending"] == 0
        for log in (site.stack.gateway.output(), site.agent.output()):
            assert "x" * 43 not in log
            assert Path(webhook_url(site)).name not in log
