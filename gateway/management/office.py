"""What the management API works with, and one visit to it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from gateway.certificate_authority import CertificateAuthority
from gateway.directory import Directory, TokenGrant
from gateway.errors import NOT_FOUND
from gateway.events.feed import Feed
from gateway.management.problems import declined
from gateway.operations.desk import Desk
from gateway.sealing import SecretKey
from gateway.settings import GatewaySettings
from gateway.store import Store
from gateway.store.event_store import EventStore
from runtime.control import Command


@dataclass(frozen=True, slots=True)
class Office:
    """The running gateway, as the management API sees it.

    `commands` are those of the control socket, for what only the live process knows. `refresh` makes a change count
    at once, which it would do within a second anyway. `tunnel_url` is what agents dial.
    """

    settings: GatewaySettings
    key: SecretKey
    store: Store
    authority: CertificateAuthority
    directory: Callable[[], Directory]
    refresh: Callable[[], Awaitable[None]]
    commands: Mapping[str, Command]
    tunnel_url: Callable[[], str]
    now: Callable[[], datetime]
    events: EventStore
    feed: Feed

    async def links(self) -> list[dict[str, Any]]:
        """Return the live links."""
        return list((await self.commands["links"]({}))["links"])


@dataclass(frozen=True, slots=True)
class Visit:
    """One admitted request: validated, with the desk of the token that asks. `body` and `query` fit its route.

    `is_admitted` says whether its token is still as good, for answers that last.
    """

    office: Office
    desk: Desk
    request: web.Request
    grant: TokenGrant
    is_admitted: Callable[[], bool]
    path: Mapping[str, str]
    body: Any = None
    query: Any = None

    @property
    def name(self) -> str:
        """The name in the path."""
        return self.path["name"]

    async def ask(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the live process's answer to a command of the control socket."""
        answer = self.office.commands.get(command)
        if answer is None:
            raise declined(NOT_FOUND, f"This gateway has no command {command}.")
        return dict(await answer(arguments))


Action = Callable[[Visit], Awaitable[BaseModel | web.StreamResponse | None]]
