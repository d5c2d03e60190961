"""What one idle agent link costs the gateway: many real links of one enrolled agent, opened from here."""

import asyncio
from contextlib import AsyncExitStack, suppress
from time import monotonic

import uvloop

from agent.addresses import GatewayAddress
from agent.dialer import Dialer, ProxyRoute
from agent.identity import read_identity
from bench.processes import settle
from gateway.agent_streams import Discarded
from tests.support.stack import Stack
from tunnel.budget import Budget
from tunnel.errors import ErrorCode, LinkClosed, Progress
from tunnel.heads import RequestHead
from tunnel.link import Link
from tunnel.session import Role, Session
from tunnel.streams import Stream, StreamReceiver

LINKS = 200  # an instance may have 256
PER_SECOND = 80


def idle_link_kib(stack: Stack) -> float:
    """Return the growth of the gateway's resident memory per idle link, in KiB."""
    before = settle([stack.gateway.pid])
    after = uvloop.run(_hold(stack))
    return (after - before) * 1024 / LINKS


async def _hold(stack: Stack) -> float:
    dialer = Dialer(ProxyRoute(lambda _: None), "bench")
    identity = read_identity(stack.agents[0].state_dir)
    address = GatewayAddress.parse(f"wss://127.0.0.1:{stack.tunnel_port}")
    budget = Budget()
    async with AsyncExitStack() as stacked:
        links = await stacked.enter_async_context(asyncio.TaskGroup())
        opened = []
        for _ in range(LINKS):
            websocket = await dialer.dial(address, identity)
            link = Link(websocket, Session(Role.AGENT, budget=budget, clock=monotonic), _refuse)
            opened.append(link)
            links.create_task(_run(link))
            await asyncio.sleep(1 / PER_SECOND)
        rss = await asyncio.to_thread(settle, [stack.gateway.pid], 6.0)
        for link in opened:
            link.abort()
    return rss


def _refuse(stream: Stream, head: RequestHead) -> StreamReceiver:
    del head
    stream.reset(ErrorCode.OVERLOADED, Progress.NOT_SENT, "this link is only held")
    return Discarded(stream)


async def _run(link: Link) -> None:
    with suppress(LinkClosed):
        await link.run()
