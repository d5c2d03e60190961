"""What every command needs: settings, the open store, and errors turned into one line and an exit status.

`enter` loads the configuration and becomes the owner of the state directory when run as root; `work` opens the store
and runs one coroutine with it. Files that only the invoking user may read are opened before.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import typer

from certs.errors import CertsError, FileUnusable, PrivateFileExposed
from gateway.audit import AuditBroken
from gateway.backup import BackupUnusable, GatewayRuns, State, StateInTheWay
from gateway.operations.desk import Desk
from gateway.sealing import SealingError, load_secret_key
from gateway.settings import GatewaySettings
from gateway.store import SchemaTooNew, StoreError, StoreUnavailable, database_path, open_store
from gateway.unacceptable import Unacceptable
from runtime.configuration import load
from runtime.exits import CONFIGURATION, DENIED, UNAVAILABLE, CommandFailed
from runtime.identity import act_as_owner, actor, ensure_state_directory

T = TypeVar("T")

_CONFIGURATION_ERRORS = (SealingError, SchemaTooNew, PrivateFileExposed, FileUnusable)
_UNAVAILABLE_ERRORS = (StoreUnavailable, OSError, sqlite3.Error)
_REFUSALS = (StoreError, CertsError, AuditBroken, BackupUnusable, GatewayRuns, StateInTheWay)


_FLAGS = {
    "base_url": "--base-url",
    "ca_pem": "--ca-file",
    "connection": "--connection",
    "connections": "--connection",
    "credentials": "--credentials",
    "dead": "--dead",
    "deliver_to": "--deliver-to",
    "events": "--events",
    "ids": "--id",
    "jql": "--jql",
    "kind": "--kind",
    "ordered": "--ordered",
    "poll_seconds": "--poll-interval",
    "scopes": "--scope",
    "secret": "--secret-file",
    "since": "--since",
    "timeout_seconds": "--timeout",
    "ttl": "--ttl",
    "username": "--username",
    "via": "--via",
    "way": "--way",
}
"""How fields are called on the command line."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One command's stay with a gateway, running or not: its settings, and who came."""

    settings: GatewaySettings
    actor: str

    @property
    def state(self) -> State:
        """Where the gateway's files are."""
        return state_of(self.settings)

    def work(self, job: Callable[[Desk], Awaitable[T]]) -> T:
        """Run `job` with the open store and return its result.

        Raises:
            CommandFailed: anything that was refused or is not possible, as one line.
            KeyboardInterrupt: Ctrl-C.
        """
        with failures():
            try:
                return asyncio.run(_at_desk(self, job))
            except asyncio.CancelledError:  # how Ctrl-C looks that came before the first step
                raise KeyboardInterrupt from None

    def ask(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the running gateway's answer; raises NotRunning (status 69)."""
        from runtime.control import call  # noqa: PLC0415 - 0.3 s that only a running gateway should cost

        return call(self.settings.state_dir, command, arguments)

    def links(self) -> list[dict[str, Any]] | None:
        """Return the running gateway's links, or None when nothing runs."""
        return list(self.ask("links", {})["links"]) if self.state.is_running else None


def enter(env_file: Path | None) -> Visit:
    """Load the settings and become the owner of the state directory, which is made when absent.

    Raises:
        CommandFailed: the configuration is wrong.
    """
    who = f"cli:{actor()}"  # before the change of user: the trail names the person
    settings = load(GatewaySettings, env_file=env_file)
    ensure_state_directory(settings.state_dir, settings.prefix)
    act_as_owner(settings.state_dir)
    return Visit(settings, who)


def at_desk(env_file: Path | None, job: Callable[[Desk], Awaitable[T]]) -> T:
    """Run `job` with the open store and return its result; for commands that need nothing else."""
    return enter(env_file).work(job)


def state_of(settings: GatewaySettings) -> State:
    """Return where this gateway keeps its files."""
    return State(settings.state_dir, database_path(settings.state_dir, settings.database_url))


@contextmanager
def failures() -> Iterator[None]:
    """Turn the typed errors of the gateway into CommandFailed; their texts are written for operators.

    What contradicts itself becomes a usage error (typer.BadParameter).
    """
    try:
        yield
    except Unacceptable as error:
        raise typer.BadParameter(error.text(_FLAGS)) from error
    except _CONFIGURATION_ERRORS as error:
        raise CommandFailed(str(error), CONFIGURATION) from error
    except _UNAVAILABLE_ERRORS as error:
        raise CommandFailed(str(error), UNAVAILABLE) from error
    except _REFUSALS as error:
        raise CommandFailed(str(error), DENIED) from error


async def _at_desk(visit: Visit, job: Callable[[Desk], Awaitable[T]]) -> T:
    now = datetime.now(UTC)
    key = load_secret_key(visit.settings.state_dir, visit.settings.secret_key)
    async with open_store(visit.state.database, key, now) as store:
        return await job(Desk(visit.settings, key, store, visit.actor, now))
