"""What the canaries of 2,000 idle links cost the gateway: its processor time with them and without them."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
import uvloop

from agent.dialer import Dialer, ProxyRoute
from agent.errors import DialError
from tests.support.fleet import accept, make_identities
from tests.support.stack import Stack
from tunnel.budget import Budget
from tunnel.errors import LinkClosed
from tunnel.link import Link
from tunnel.session import Role, Session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INSTANCES, LINKS = 10, 2000
AT_ONCE = 4
SECONDS = 30.0
MOST = 0.15  # of one core
SILENT = (
    "import gateway.canary_watch as watch; watch.CanaryWatch.look = lambda self, now, links: None; "
    "from gateway.__main__ import main; main()"
)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load_of_idle_links(stack, identities):
    """The part of a core that the gateway uses while all the links do nothing."""
    dialer, budget = Dialer(ProxyRoute(lambda _: None), "held"), Budget()
    links = []

    async def run(link):
        with suppress(LinkClosed):
            await link.run()

    async def dial(tasks):
        while len(links) < LINKS:
            identity = identities[len(links) % INSTANCES]
            try:
                websocket = await dialer.dial(identity.gateway, identity)
            except DialError:  # it does not know the name yet, or has had a hundred in this second
                await asyncio.sleep(1)
                continue
            links.append(Link(websocket, Session(Role.AGENT, budget=budget, clock=monotonic), accept))
            tasks.create_task(run(links[-1]))
            await asyncio.sleep(AT_ONCE / 80)  # the gateway takes 100 in a second

    async with asyncio.TaskGroup() as tasks:
        async with asyncio.TaskGroup() as dialling:
            for _ in range(AT_ONCE):
                dialling.create_task(dial(tasks))
        await asyncio.sleep(5)
        before = processor_seconds(stack.gateway.pid)
        await asyncio.sleep(SECONDS)
        used = (processor_seconds(stack.gateway.pid) - before) / SECONDS
        held = await asyncio.to_thread(stack.count_links, "hq")
        for link in links:
            link.abort()
    assert held == len(links) >= LINKS
    return used


def measure(folder, arguments=None):
    with Stack(folder, "http://127.0.0.1:1", log_level="warning") as stack:
        if arguments:
            stack.gateway.arguments = arguments
        stack.start_gateway()
        stack.must("agents", "invite", "hq")
        return uvloop.run(load_of_idle_links(stack, make_identities(folder / "held", stack, INSTANCES)))


def test_canaries_of_2000_idle_links_cost_little(tmp_path, capsys):
    without = measure(tmp_path / "without", [sys.executable, "-c", SILENT, "run"])
    with_them = measure(tmp_path / "with")

    with capsys.disabled():
        sys.stdout.write(f"\n{LINKS} idle links: {without:.1%} of a core without canaries, {with_them:.1%} with\n")
    assert with_them - without < MOST
