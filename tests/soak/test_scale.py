"""Two thousand agents at one gateway: what an idle link weighs, what a request costs beside them, and what a scrape holds up.

Every agent has a name and a certificate of its own and runs in another process (tests.support.crowd). Requests go through
one more, real agent to an nginx, from wrk, because slower ones would be too few to tell what a request costs.
"""

import statistics
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack

import pytest

from bench import answers
from bench.measure import Request, load
from bench.processes import cpu_seconds, rss_mib
from tests.support.callers import Caller, bearer
from tests.support.crowd import Crowd
from tests.support.metrics_page import samples
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

AGENTS = 2000
FIRST = 20  # bring what all links share
KIB_PER_LINK = 64
IDLE_SHARE = 0.12  # of one core
DEARER = 1.1
CALLERS, SECONDS, ROUNDS = 128, 6.0, 5
HELD_SECONDS = 0.010


@pytest.fixture
def tell(capsys):
    def tell(text):
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return tell


def test_an_idle_link_weighs_64_kib_and_costs_little(tmp_path, tell):
    with Stack(tmp_path / "stack", "http://127.0.0.1:1", log_level="warning") as stack:
        gateway = stack.start_gateway().gateway
        crowd = Crowd(tmp_path / "crowd", stack, AGENTS)
        with Crowd(tmp_path / "first", stack, FIRST, prefix="first") as first:
            first.wait()
            time.sleep(3)
            before = rss_mib([gateway.pid])
            with crowd:
                crowd.wait()
                time.sleep(10)
                weight = (rss_mib([gateway.pid]) - before) * 1024 / AGENTS
                used = cpu_seconds([gateway.pid])
                time.sleep(30)
                share = (cpu_seconds([gateway.pid]) - used) / 30
    tell(f"{AGENTS} idle links of as many agents: {weight:.1f} KiB each, {share:.1%} of a core")
    assert weight <= KIB_PER_LINK
    assert share <= IDLE_SHARE


def _serve(stack, port, token_file):
    """Start a gateway with a real agent before `port`; return what wrk asks for."""
    stack.start_gateway()
    stack.enroll(
        "hq", JIRA_AGENT_JIRA_URL=f"http://127.0.0.1:{port}", JIRA_AGENT_JIRA_TOKEN_FILE=str(token_file)
    ).start_and_wait()
    token = stack.connect("hq")
    return Request(f"{stack.url}/jira/hq{answers.SMALL}", (f"Authorization: Bearer {token}",))


@pytest.mark.xfail(
    reason="1.06 and 1.13 times: the more requests, the less the canaries of 2,000 links weigh", strict=False
)
def test_a_request_beside_2000_agents_costs_a_tenth_more_at_most(tmp_path, upstream, tell):
    token_file = tmp_path / "token"
    token_file.touch(mode=0o600)
    token_file.write_text("token\n")
    with ExitStack() as stacked:
        one, many = (
            stacked.enter_context(Stack(tmp_path / name, f"http://127.0.0.1:{upstream}", log_level="info"))
            for name in ("one", "many")
        )
        requests = {stack: _serve(stack, upstream, token_file) for stack in (one, many)}
        stacked.enter_context(Crowd(tmp_path / "crowd", many, AGENTS)).wait()
        time.sleep(5)
        cpu, rates = {one: [], many: []}, {one: [], many: []}
        for _ in range(ROUNDS):
            for stack, request in requests.items():
                found = load(request, CALLERS, SECONDS, {"gateway": [stack.gateway.pid]})
                assert found.errors == 0
                cpu[stack].append(found.cpu["gateway"])
                rates[stack].append(found.requests_per_second)
        assert many.count_links("a7") == 1
    alone, beside = (statistics.median(cpu[stack]) for stack in (one, many))
    tell(
        f"gateway, {CALLERS} callers: {alone:.1f} us of CPU per request with one agent ({rates[one][0]:.0f}/s), "
        f"{beside:.1f} with {AGENTS} more ({rates[many][0]:.0f}/s): {beside / alone:.2f}x; "
        f"rounds {[round(value, 1) for value in cpu[one]]} and {[round(value, 1) for value in cpu[many]]}"
    )
    assert beside / alone <= DEARER


def test_a_scrape_of_a_thousand_agents_holds_nobody_up(tmp_path, tell):
    with Stack(tmp_path / "stack", "http://127.0.0.1:1") as stack:
        stack.start_gateway()
        url = f"http://127.0.0.1:{stack.admin_port}/metrics"
        with Crowd(tmp_path / "crowd", stack, AGENTS // 2) as crowd:
            crowd.wait()
            time.sleep(3)
            quiet = _longest_waits(stack, lambda: time.sleep(0.1))
            page = []
            busy = _longest_waits(stack, lambda: page.append(urllib.request.urlopen(url, timeout=10).read().decode()))
    tell(f"a small request waits {quiet * 1000:.1f} ms at most, beside a scrape {busy * 1000:.1f} ms")
    assert samples(page[-1])['jira_gateway_agent_links{agent="a1"}'] == 1
    assert busy - quiet <= HELD_SECONDS


def _longest_waits(stack, act):
    """The median over 20 acts of the longest wait of a small request while each goes on, in seconds."""
    longest, stop = [], threading.Event()
    waits = []

    def ask():
        with Caller(f"{stack.url}/-/none", [bearer("nobody")]) as caller:
            while not stop.is_set():
                waits.append(caller.ask("GET", "").seconds)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    for _ in range(20):
        waits.clear()
        act()
        longest.append(max(waits, default=0.0))
    stop.set()
    thread.join(10)
    return statistics.median(longest)
