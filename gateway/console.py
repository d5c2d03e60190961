"""What a running gateway shows on its admin pages and obeys on its control socket.

Reads the parts that gateway.app has put together; owns no state but why the gateway is not ready yet.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.alerts.service import AlertService, list_command, test_command
from gateway.direct_links import DirectConnections
from gateway.directory import Directory
from gateway.egress_proof import EgressProof
from gateway.events.service import EventService
from gateway.explain import explain_command
from gateway.outcomes import OutcomeLog
from gateway.probe import test_connection
from gateway.registry import Registry
from gateway.status import link_rows, status_page
from runtime.admin import Pages
from runtime.control import Command
from runtime.exits import CommandFailed


@dataclass(slots=True, eq=False)
class Console:
    """The parts that pages and commands read.

    `events` is None before the front door is open, `alerts` when they are off.
    """

    registry: Registry
    outcomes: OutcomeLog
    direct: DirectConnections
    egress_proof: EgressProof
    directory: Callable[[], Directory]
    software: str
    metrics: Callable[[], Iterable[str]]
    events: EventService | None = None
    alerts: AlertService | None = None
    not_ready: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Console {self.ready() or 'ready'}>"

    def ready(self) -> str | None:
        """Return None when the gateway can serve, else why not."""
        return next(iter(self.not_ready.values()), self.egress_proof.mismatch)

    def headline(self) -> str:
        """Return the state in one line, for systemd's STATUS."""
        links = list(self.registry.links())
        requests = f"{self.direct.streams + sum(each.in_flight for each in links)} requests in flight"
        if "stop" in self.not_ready:
            return f"draining, {requests}"
        agents = {each.identity.name for each in links}
        return self.ready() or f"{len(agents)} agents connected by {len(links)} links, {requests}"

    def pages(self) -> Pages:
        """Return the admin pages."""
        return Pages(self.ready, self._status, self.metrics)

    def commands(self) -> dict[str, Command]:
        """Return the commands of the control socket."""
        named: dict[str, Command] = {
            "links": self._links,
            "test-connection": self._test_connection,
            "permissions": self._permissions,
            "alerts": lambda _: list_command(self.alerts),
            "alerts-test": lambda _: test_command(self.alerts),
            "explain": lambda words: explain_command(words, self.outcomes.recent),
        }
        return named | ({} if self.events is None else self.events.commands())

    def _status(self) -> dict[str, Any]:
        return {
            **status_page(self.registry, self.directory(), self.software),
            "direct": self.direct.rows(),
            "egress": self.egress_proof.page(),
            "events": None if self.events is None else self.events.page(),
            "alerts": None if self.alerts is None else self.alerts.page(),
        }

    async def _links(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"links": link_rows(self.registry)}

    async def _permissions(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from gateway.permissions import permissions_command  # noqa: PLC0415 - a start is quicker without its tables

        return await permissions_command(arguments, self.directory(), self.registry, self.direct.pick)

    async def _test_connection(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = str(arguments.get("name", ""))
        connection = self.directory().connection(name)
        if connection is None:
            raise CommandFailed(f"there is no connection {name}; see jira-gateway connections list")
        checks = await test_connection(connection, self.registry, self.direct.pick)
        rows = [
            {"check": row.check, "result": row.result, "detail": row.detail, "action": row.action} for row in checks
        ]
        return {"name": name, "ok": all(row.result != "fail" for row in checks), "checks": rows}
