"""Two attachments of 2 GiB at once, up and down: memory stays flat and small requests stay quick.

The four callers are processes of their own, so that what they cost is not taken for the tunnel's latency.
"""

import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, wait
from itertools import chain
from pathlib import Path

import pytest

from tests.e2e.conftest import SERVICE
from tests.support.callers import Caller, bearer
from tests.support.fake_jira import JiraProcess, pattern_chunks
from tests.support.fake_jira.pattern import PatternCheck
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = 2 * 1024**3
RSS_LIMIT = 100 * 1024**2
SLOWER_AT_MOST = 3.0
SMALL = "/rest/api/2/myself"


def upload(url, token, issue):
    """Upload SIZE bytes of the pattern as one attachment; return status and what Jira says about it."""
    start = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
    end = b"\r\n--cut--\r\n"
    headers = [("Content-Type", "multipart/form-data; boundary=cut"), ("X-Atlassian-Token", "no-check")]
    body = chain([start], pattern_chunks(SIZE), [end])
    with Caller(url, [bearer(token)], timeout=300) as caller:
        target = f"/rest/api/2/issue/{issue}/attachments"
        reply = caller.ask("POST", target, body, headers, length=len(start) + SIZE + len(end))
    return reply.status, str(reply), json.loads(reply.body)[0]["id"] if reply.status == 200 else None


def download(url, token, target):
    """Download and compare with the pattern; return status, size, whether it came whole and right."""
    check = PatternCheck()
    with Caller(url, [bearer(token)], timeout=300) as caller:
        reply = caller.send("GET", target).read(check.take)
    return reply.status, check.size, reply.whole and check.matches


def resident(pid):
    """The process's VmRSS in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def p50(samples):
    """The median in milliseconds."""
    return statistics.median(samples) * 1000


def measure(caller):
    """Seconds of one small request."""
    reply = caller.ask("GET", SMALL)
    assert reply.status == 200, reply
    return reply.seconds


def test_two_attachments_of_2_gib_up_and_two_down_at_once(tmp_path, record_property):
    with JiraProcess("9.12") as jira, Stack(tmp_path / "stack", jira.url) as stack:
        jira.call("set", hash_bodies=False, recording=False)
        stack.start_gateway()
        agent = stack.enroll("hq", **SERVICE).start_and_wait()
        token = stack.connect("hq")
        url = f"{stack.url}/jira/hq"
        files = [jira.call("add_attachment", issue=f"OPS-{n}", filename="big.bin", size=SIZE) for n in (1, 2)]
        targets = [file["content"].removeprefix(jira.base_url) for file in files]
        with (
            Caller(url, [bearer(token)]) as small,
            ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool,
        ):
            measure(small)
            idle = [measure(small) for _ in range(200)]
            began = time.monotonic()
            ups = [pool.submit(upload, url, token, f"OPS-{n}") for n in (3, 4)]
            downs = [pool.submit(download, url, token, target) for target in targets]
            busy, rss = [], {"agent": 0, "gateway": 0}
            while wait([*ups, *downs], timeout=0.05).not_done:
                for name, pid in (("agent", agent.pid), ("gateway", stack.gateway.pid)):
                    rss[name] = max(rss[name], resident(pid))
                busy.append(measure(small))
            seconds = time.monotonic() - began

        figures = {
            "MB/s": round(4 * SIZE / seconds / 1e6), "seconds": round(seconds, 1), "samples": len(busy),
            "idle p50 ms": round(p50(idle), 2), "busy p50 ms": round(p50(busy), 2),
            **{f"{name} MiB": round(value / 1024**2) for name, value in rss.items()},
        }  # fmt: skip
        record_property("figures", figures)
        for done in ups:
            status, reply, number = done.result()
            assert status == 200, reply
            attachment = jira.call("attachment", id=number)
            assert (attachment["size"], attachment["sha256"]) == (SIZE, files[0]["sha256"])
        assert [done.result() for done in downs] == [(200, SIZE, True)] * 2
        assert max(rss.values()) < RSS_LIMIT, figures
        assert p50(busy) < SLOWER_AT_MOST * p50(idle), figures
