"""Two attachments at once, up and down: memory stays flat at full speed, and small requests stay quick beside them.

The four callers are processes of their own, so that what they cost is not taken for the tunnel's latency. Latency
is measured beside transfers of a given rate: at full speed the callers, the tunnel and the stand-in share two cores,
and a small request straight to the stand-in slows down as much (3.8 times measured, beside 4.3 through the tunnel).
"""

import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, wait
from itertools import chain
from pathlib import Path

from tests.e2e.conftest import SERVICE
from tests.support.callers import Caller, bearer
from tests.support.fake_jira import JiraProcess, pattern_chunks
from tests.support.fake_jira.pattern import PatternCheck
from tests.support.stack import Stack

MIB = 1024**2
RSS_LIMITS = {"agent": 100 * MIB, "gateway": 112 * MIB}
GROWTH_LIMIT = 32 * MIB
SMALL = "/rest/api/2/myself"


class Pace:
    """Holds a transfer to `rate` bytes per second (None: as fast as it goes)."""

    def __init__(self, rate):
        self.rate = rate
        self.moved = 0
        self.began = time.monotonic()

    def pass_on(self, data):
        """Wait until these bytes may move, and return them."""
        self.moved += len(data)
        if self.rate is not None:
            time.sleep(max(0.0, self.began + self.moved / self.rate - time.monotonic()))
        return data


def upload(url, token, issue, size, rate):
    """Upload `size` bytes of the pattern as one attachment; return status and what Jira says about it."""
    start = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
    end = b"\r\n--cut--\r\n"
    headers = [("Content-Type", "multipart/form-data; boundary=cut"), ("X-Atlassian-Token", "no-check")]
    pace = Pace(rate)
    body = chain([start], map(pace.pass_on, pattern_chunks(size)), [end])
    with Caller(url, [bearer(token)], timeout=300) as caller:
        target = f"/rest/api/2/issue/{issue}/attachments"
        reply = caller.ask("POST", target, body, headers, length=len(start) + size + len(end))
    return reply.status, str(reply), json.loads(reply.body)[0]["id"] if reply.status == 200 else None


def download(url, token, target, rate):
    """Download and compare with the pattern; return status, size, whether it came whole and right."""
    check, pace = PatternCheck(), Pace(rate)
    with Caller(url, [bearer(token)], timeout=300) as caller:
        reply = caller.send("GET", target).read(lambda data: check.take(pace.pass_on(data)))
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


def transfer(folder, size, rate=None):
    """Move two attachments up and two down at once; return the figures. Everything must arrive whole."""
    with JiraProcess("9.12") as jira, Stack(folder / "stack", jira.url) as stack:
        jira.call("set", hash_bodies=False, recording=False)
        stack.start_gateway()
        agent = stack.enroll("hq", **SERVICE).start_and_wait()
        token = stack.connect("hq")
        url = f"{stack.url}/jira/hq"
        files = [jira.call("add_attachment", issue=f"OPS-{n}", filename="big.bin", size=size) for n in (1, 2)]
        targets = [file["content"].removeprefix(jira.base_url) for file in files]
        with (
            Caller(url, [bearer(token)]) as small,
            ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool,
        ):
            measure(small)
            idle = [measure(small) for _ in range(200)]
            began = time.monotonic()
            ups = [pool.submit(upload, url, token, f"OPS-{n}", size, rate) for n in (3, 4)]
            downs = [pool.submit(download, url, token, target, rate) for target in targets]
            programs = {"agent": agent.pid, "gateway": stack.gateway.pid}
            before = {name: resident(pid) for name, pid in programs.items()}
            busy, rss = [], dict(before)
            while wait([*ups, *downs], timeout=0.05).not_done:
                for name, pid in programs.items():
                    rss[name] = max(rss[name], resident(pid))
                busy.append(measure(small))
            seconds = time.monotonic() - began
        for done in ups:
            status, reply, number = done.result()
            assert status == 200, reply
            attachment = jira.call("attachment", id=number)
            assert (attachment["size"], attachment["sha256"]) == (size, files[0]["sha256"])
        assert [done.result() for done in downs] == [(200, size, True)] * 2
        return {
            "MB/s": round(4 * size / seconds / 1e6), "seconds": round(seconds, 1), "samples": len(busy),
            "idle p50 ms": round(p50(idle), 2), "busy p50 ms": round(p50(busy), 2),
            **{f"{name} MiB": round(value / MIB, 1) for name, value in rss.items()}, "rss": rss,
            "grown": max(rss[name] - before[name] for name in programs),
        }  # fmt: skip
