"""The control socket: how a command talks to the running program.

A unix socket (0600) in the state directory that speaks HTTP: ``POST /<command>`` with a JSON object in and
out. The file's mode is the login: who may open it may command the program.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from runtime.exits import CONFIGURATION, DENIED, UNAVAILABLE, CommandFailed
from runtime.unix_socket import serve_unix

log = structlog.get_logger()

SOCKET_NAME = "control.sock"
MAX_BODY_BYTES = 1024 * 1024

Command = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]

peer_uid: ContextVar[int | None] = ContextVar("peer_uid", default=None)
"""While a command is obeyed: the user id of the process that asked, as the kernel knows it; None when it does not."""


class NotRunning(CommandFailed):
    """Nothing answers on the control socket."""

    status = UNAVAILABLE


async def serve_control(
    directory: Path, commands: Mapping[str, Command], *, started: Callable[[], None] = lambda: None
) -> None:
    """Serve `commands` on ``control.sock`` in `directory` until cancelled; calls `started` once it listens.

    A command that raises `CommandFailed` is answered with its line and status. Raises `CommandFailed` when another
    process serves there, or the socket cannot be made.
    """
    path = directory / SOCKET_NAME
    _refuse_second(path)
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    for name, command in commands.items():
        application.router.add_post(f"/{name}", _answer(command))
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
    try:
        await serve_unix(runner, path, started=started)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandFailed(f"{path} cannot be made ({reason}); choose another *_STATE_DIR", CONFIGURATION) from None


def _refuse_second(path: Path) -> None:
    """Raise when a living process answers on the socket: taking it away would make that one deaf."""
    with socket.socket(socket.AF_UNIX) as visitor, suppress(OSError):
        visitor.settimeout(1.0)
        visitor.connect(str(path))
        raise CommandFailed(f"another process runs on {path.parent}; stop it, or choose another *_STATE_DIR")


def call(
    directory: Path, command: str, arguments: Mapping[str, Any] | None = None, *, seconds: float = 70
) -> dict[str, Any]:
    """Send `command` to the program whose state directory is `directory` and return its answer.

    Raises `NotRunning`, or `CommandFailed` with what the program said.
    """
    return asyncio.run(_call(directory / SOCKET_NAME, command, dict(arguments or {}), seconds))


async def _call(path: Path, command: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=timeout) as session,
            session.post(f"http://control/{command}", json=arguments) as answer,
        ):
            is_ours = answer.content_type == "application/json"
            content = await answer.json() if is_ours else {"failed": f"{command} failed there; see the program's log"}
    except TimeoutError:
        raise NotRunning(f"no answer on {path} within {seconds:g} s; see the program's log") from None
    except (aiohttp.ClientError, OSError):
        raise NotRunning(f"nothing is running on {path}; start the program, or check *_STATE_DIR") from None
    if answer.status != web.HTTPOk.status_code:
        raise CommandFailed(str(content.get("failed", "refused")), int(content.get("status", DENIED)))
    return dict(content)


def _answer(command: Command) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        peer_uid.set(_uid_of(request))
        try:
            return web.json_response(dict(await command(await request.json())))
        except CommandFailed as failure:
            content = {"failed": failure.line, "status": failure.status}
            return web.json_response(content, status=web.HTTPConflict.status_code)

    return answer


def _uid_of(request: web.Request) -> int | None:
    """Ask Linux who is at the other end (unix(7), SO_PEERCRED)."""
    sock = None if request.transport is None else request.transport.get_extra_info("socket")
    if sock is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    with suppress(OSError):
        return int(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
    return None
