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

FIRST = 20  # bring what all links share, and are not counted
LINKS = 200  # an instance may have 256 in all
PER_SECOND = 80


def idle_link_kib(stack: Stack) -> float:
    """Return the growth of the gateway's resident memory per idle link, in KiB."""
    return uvloop.run(_hold(stack))


async def _hold(stack: Stack) -> float:
    async with AsyncExitStack() as stacked:
        links = await stacked.enter_async_context(asyncio.TaskGroup())
        opened = await _open(stack, FIRST, links)
        before = await asyncio.to_thread(settle, [stack.gateway.pid], 3.0)
        opened += await _open(stack, LINKS, links)
        after = await asyncio.to_thread(settle, [stack.gateway.pid], 6.0)
        for link in opened:
            link.abort()
    return (after - before) * 1024 / LINKS


async def _open(stack: Stack, count: int, links: asyncio.TaskGroup) -> list[Link]:
    dialer = Dialer(ProxyRoute(lambda _: None), "bench")
    identity = read_identity(stack.agents[0].state_dir)
    address = GatewayAddress.parse(f"wss://127.0.0.1:{stack.tunnel_port}")
    budget, opened = Budget(), []
    for _ in range(count):
        websocket = await dialer.dial(address, identity)
        link = Link(websocket, Session(Role.AGENT, budget=budget, clock=monotonic), _refuse)
        opened.append(link)
        links.create_task(_run(link))
        await asyncio.sleep(1 / PER_SECOND)
    return opened


def _refuse(stream: Stream, head: RequestHead) -> StreamReceiver:
    del head
    stream.reset(ErrorCode.OVERLOADED, Progress.NOT_SENT, "this link is only held")
    return Discarded(stream)


async def _run(link: Link) -> None:
    with suppress(LinkClosed):
        await link.run()
