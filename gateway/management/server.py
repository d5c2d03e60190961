"""Serves the management API on `api.sock` (0600) in the state directory."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from gateway.management.application import application
from gateway.management.office import Office
from runtime.answering import BACKLOG
from runtime.unix_socket import bound_unix

SOCKET_NAME = "api.sock"

# Above what the API listener lets through, so that every refusal of a request's form is the listener's.
_MAX_LINE = 64 * 1024
_KEEP_ALIVE_SECONDS = 60  # the relay lets go of a socket after five


async def serve_management(directory: Path, office: Office, software: str, *, started: Callable[[], None]) -> None:
    """Serve until cancelled; `started` is called once it listens."""
    runner = web.AppRunner(
        application(office, software),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=1,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        auto_decompress=False,
    )
    await runner.setup()
    with bound_unix(directory / SOCKET_NAME) as listening:
        try:
            await web.SockSite(runner, listening, backlog=BACKLOG).start()
            started()
            await asyncio.Event().wait()  # no deadline: this is the listener's whole life
        finally:
            await runner.cleanup()
