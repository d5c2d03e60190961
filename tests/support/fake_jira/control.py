"""The control port of a stand-in that runs as a process: tests elsewhere read its record and give it orders.

`POST /__control__/<command>` with a JSON object, answered by JSON. process.py is the other end.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.fake_jira.control_changes import CHANGES
from tests.support.fake_jira.control_webhooks import WEBHOOK_SETTINGS, WEBHOOKS, change_webhook_setting
from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.misbehaviour import fault_from_json
from tests.support.fake_jira.recording import RecordedRequest
from tests.support.fake_jira.routing import JiraError
from tests.support.fake_jira.tomcat import BadRequest, map_target, parse_head
from tests.support.fake_jira.views import milliseconds
from tests.support.fake_jira.wire import Disconnected, HeadTooLarge, WireConnection

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

PREFIX = "/__control__/"
SETTINGS = frozenset(
    {"state", "gzip", "idle_timeout", "attachments_enabled", "upload_limit", "pat_on_servlets", "rate_limit", "hash_bodies", "recording",
     "clock_offset", "time_zone", "worklogs_in_history"}
)  # fmt: skip
Command = Callable[["FakeJira", dict[str, Any]], Any]


def _requests(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    marker = arguments.get("marker")
    found = jira.matching(
        arguments.get("path", ""), method=arguments.get("method"), marker=marker.encode() if marker else None
    )
    return [record.to_json() for record in found]


def _info(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    return {
        "active": jira.active,
        "connections": jira.connections,
        "open_connections": jira.open_connections,
        "recorded": len(jira.requests),
        "crashes": [repr(error) for error in jira.crashes],
    }


def _misbehave(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    header = arguments.get("header")
    jira.misbehave(
        arguments["prefix"],
        fault_from_json(arguments["fault"]),
        times=arguments.get("times"),
        method=arguments.get("method"),
        header=(header[0], header[1]) if header else None,
    )
    return {}


def _behave(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    jira.behave()
    return {}


def _clear(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    jira.requests.clear()
    return {}


def _add_attachment(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    attachment = jira.add_generated_attachment(arguments["issue"], arguments["filename"], arguments["size"])
    return {"id": attachment.id, "sha256": attachment.content.sha256, **jira.views.attachment(attachment)}


def _attachment(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    content = jira.store.attachments[int(arguments["id"])].content
    return {"size": content.size, "sha256": content.sha256}


def _set(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    unknown = arguments.keys() - SETTINGS - WEBHOOK_SETTINGS.keys()
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    for name, value in arguments.items():
        if name in SETTINGS:
            setattr(jira, name, value)
        else:
            change_webhook_setting(jira, name, value)
    return {"now": milliseconds(jira.store.now())}


def _set_user(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    user = jira.users[arguments["name"]]
    for name, value in arguments["attributes"].items():
        if not hasattr(user, name):
            raise KeyError(name)
        setattr(user, name, set(value) if name == "groups" else value)
    return {"failed_logins": user.failed_logins, "captcha": user.captcha}


def _drop(jira: "FakeJira", arguments: dict[str, Any]) -> Any:
    return {"dropped": jira.drop_connections(reset=arguments.get("reset", True))}


COMMANDS: dict[str, Command] = {
    "requests": _requests,
    "info": _info,
    "misbehave": _misbehave,
    "behave": _behave,
    "clear": _clear,
    "add_attachment": _add_attachment,
    "attachment": _attachment,
    "set": _set,
    "set_user": _set_user,
    "drop_connections": _drop,
    **CHANGES,
    **WEBHOOKS,
}


class ControlPort:
    """Serves the commands of one stand-in until `run()` is cancelled; `port` is known once `listen()` returned."""

    def __init__(self, jira: "FakeJira") -> None:
        self._jira = jira
        self._group: asyncio.TaskGroup | None = None
        self.port = 0

    async def run(self, ready: Callable[[], None]) -> None:
        """Listen on a loopback port, call `ready`, serve."""
        async with asyncio.TaskGroup() as self._group:
            server = await asyncio.get_running_loop().create_server(
                lambda: WireConnection(self._accept), "127.0.0.1", 0
            )
            self.port = server.sockets[0].getsockname()[1]
            ready()
            await asyncio.Event().wait()

    def _accept(self, connection: WireConnection) -> None:
        assert self._group is not None
        self._group.create_task(self._serve(connection))

    async def _serve(self, connection: WireConnection) -> None:
        try:
            while (raw := await connection.read_head(8192)) is not None:
                head = parse_head(raw)
                request = Request(connection, head, RecordedRequest(connection.id, connection.peer, raw, 0.0))
                request.path = map_target(head.target)[0]
                await request.send(await self._answer(request))
        except (Disconnected, HeadTooLarge, BadRequest):
            pass
        finally:
            connection.close()

    async def _answer(self, request: Request) -> Answer:
        command = COMMANDS.get(request.path.removeprefix(PREFIX))
        if command is None or not request.path.startswith(PREFIX):
            return Answer.json({"error": f"no command at {request.path}"}, 404)
        try:
            return Answer.json(command(self._jira, await request.json() or {}))
        except JiraError as error:
            return Answer.json({"error": f"JiraError: {error.answer.body!r}"}, 400)
        except (LookupError, AttributeError, TypeError, ValueError, AssertionError) as error:
            return Answer.json({"error": f"{type(error).__name__}: {error}"}, 400)
