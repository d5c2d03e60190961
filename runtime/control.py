"""The control socket: how a command talks to the running program.

A unix socket (0600) in the state directory that speaks HTTP: ``POST /<command>`` with a JSON object in and
out. The file's mode is the login: who may open it may command the program.
"""

import http.client
import json
import socket
import struct
from asyncio import BaseTransport
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from http1.server import ServerProtocol
from http1.sweep import Sweeper
from runtime.answering import JSON, Answer, Answers, Handler, Question, serve_answers
from runtime.exits import CONFIGURATION, DENIED, UNAVAILABLE, CommandFailed
from runtime.unix_socket import bound_unix

SOCKET_NAME = "control.sock"
MAX_BODY_BYTES = 1024 * 1024

Command = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]

peer_uid: ContextVar[int | None] = ContextVar("peer_uid", default=None)
"""While a command is obeyed: the user id of the process that asked, as the kernel knows it; None when it does not."""


class NotRunning(CommandFailed):
    """Nothing answers on the control socket."""

    status = UNAVAILABLE


async def serve_control(
    directory: Path,
    commands: Mapping[str, Command],
    sweeper: Sweeper,
    *,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve `commands` on ``control.sock`` in `directory` until cancelled; calls `started` once it listens.

    A command that raises `CommandFailed` is answered with its line and status. Raises `CommandFailed` when another
    process serves there, or the socket cannot be made.
    """
    path = directory / SOCKET_NAME
    _refuse_second(path)
    answers = Answers(
        {f"/{name}".encode(): _obey(command) for name, command in commands.items()}, (b"POST",), MAX_BODY_BYTES
    )
    try:
        with bound_unix(path) as listening:
            await serve_answers(listening, answers, sweeper, started, _Visitor)
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
    path = directory / SOCKET_NAME
    connection = _Connection(path, seconds)
    try:
        connection.request("POST", f"/{command}", json.dumps(dict(arguments or {})))
        with connection.getresponse() as answer:  # what is not read to its end holds the socket
            is_ours = answer.headers.get_content_type() == "application/json"
            said = answer.read() if is_ours else b""
        content = json.loads(said) if is_ours else {"failed": f"{command} failed there; see the program's log"}
    except TimeoutError:
        raise NotRunning(f"no answer on {path} within {seconds:g} s; see the program's log") from None
    except (http.client.HTTPException, OSError):
        raise NotRunning(f"nothing is running on {path}; start the program, or check *_STATE_DIR") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise CommandFailed(str(content.get("failed", "refused")), int(content.get("status", DENIED)))
    return dict(content)


class _Connection(http.client.HTTPConnection):
    """HTTP to a unix socket; `seconds` is how long the program may be silent."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("control", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _obey(command: Command) -> Handler:
    async def answer(question: Question) -> Answer:
        peer_uid.set(int(question.peer) if question.peer else None)
        try:
            return Answer(json.dumps(dict(await command(json.loads(question.body)))), JSON)
        except CommandFailed as failure:
            content = {"failed": failure.line, "status": failure.status}
            return Answer(json.dumps(content), JSON, http.client.CONFLICT)

    return answer


class _Visitor(ServerProtocol):
    """Who asks is the user of the process at the other end, as Linux says (unix(7), SO_PEERCRED)."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Ask before anything is served."""
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "SO_PEERCRED"):
            with suppress(OSError):
                self.peer = str(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
        super().connection_made(transport)
