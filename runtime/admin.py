"""The read-only pages of a program: ``/healthz /readyz /status /metrics``, on an address of their own.

Knows nothing of what the pages say: the program passes functions. No page changes anything, none needs a
login, none holds a secret.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from runtime.address import Address
from runtime.configuration import cannot_bind

log = structlog.get_logger()


@dataclass(frozen=True)
class Pages:
    """What the pages show. `ready` returns None, or in one line why the program cannot serve."""

    ready: Callable[[], str | None]
    status: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], str]


async def serve_admin(
    listen: Address, pages: Pages, variable: str, *, started: Callable[[], None] = lambda: None
) -> None:
    """Serve the pages on `listen` until cancelled; calls `started` once it listens.

    Raises `ConfigurationError` that names `variable` when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        # Our own socket: one that asyncio makes is lost, and stays open, when its start is cancelled.
        listener = socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        raise cannot_bind(variable, listen, error) from None
    with listener:
        runner = web.AppRunner(_application(pages), access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            bound = Address(*runner.addresses[0][:2])
            log.info("admin_listening", address=str(bound))
            started()
            await asyncio.Event().wait()  # no deadline: this is the listener's whole life
        finally:
            await runner.cleanup()


def _application(pages: Pages) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = pages.ready()
        return web.Response(status=200 if reason is None else 503, text=(reason or "ready") + "\n")

    async def status(_: web.Request) -> web.Response:
        return web.json_response(dict(pages.status()))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=pages.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    application = web.Application(client_max_size=1024)
    application.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/status", status),
            web.get("/metrics", metrics),
        ]
    )
    return application
