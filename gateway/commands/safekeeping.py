"""`jira-gateway backup` and `restore`: everything that makes this gateway this gateway, in one file."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from gateway.commands.options import EnvFile, Json
from gateway.commands.printing import print_json, say

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.backup import State
    from gateway.operations.desk import Desk
    from gateway.settings import GatewaySettings


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it (0600).", show_default=False)],
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Write store, secret key, CA and the tunnel's key into one file, with the gateway running or not.

    Whoever has this file can be this gateway: keep it as safe as the machine itself.

    \b
    Example:
      jira-gateway backup /mnt/safe/gateway-$(date +%F).tar
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    # Opened before the command acts as the gateway's user, who may not write where the operator may.
    with _create(file, force=force) as out:
        try:
            manifest = at_desk(env_file, lambda desk: _backup(desk, file, out))
        except BaseException:
            _discard(file)
            raise
    if as_json:
        return print_json({"file": str(file), **manifest})
    return say(f"Wrote {file}. It holds every secret of this gateway: keep it safe.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'backup' wrote.", show_default=False)],
    *,
    force: Annotated[bool, typer.Option("--force", help="Move what is there aside first.")] = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Put a backup in place of a stopped gateway's state, after checking every part of it.

    Changes made since the backup are undone, revocations included. What is replaced (--force) is kept in the
    state directory under replaced-<time>.

    \b
    Example:
      systemctl stop jira-gateway && jira-gateway restore --force /mnt/safe/gateway-2027-01-31.tar
    """  # noqa: D301 - see backup
    from gateway.commands.desk import enter, failures  # noqa: PLC0415 - see gateway.commands

    with _open(file) as archive, failures():
        visit = enter(env_file)
        replaced = _restore(visit.settings, visit.state, archive, force=force)
    count = visit.work(lambda desk: _record(desk, file))
    if as_json:
        return print_json({"file": str(file), "replaced": str(replaced) if replaced else None, "audit_records": count})
    say("Restored. Changes made since the backup are undone, revocations included: check 'audit list'.")
    return say(f"What was replaced is in {replaced}." if replaced else "Nothing was replaced.")


def _create(file: Path, *, force: bool) -> BinaryIO:
    try:
        if force:
            file.unlink(missing_ok=True)
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")
    except FileExistsError:
        raise typer.BadParameter(f"{file} exists: choose another name, or --force") from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written ({error.strerror})") from None


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read ({error.strerror})") from None


def _discard(file: Path) -> None:
    """Take a failed backup away, so that nobody trusts it; as another user by now, that may not be allowed."""
    with suppress(OSError):
        file.unlink()


async def _backup(desk: "Desk", file: Path, out: BinaryIO) -> dict[str, Any]:
    from gateway.backup import write_backup  # noqa: PLC0415 - see gateway.commands
    from gateway.commands.desk import state_of  # noqa: PLC0415 - see gateway.commands

    async with desk.store.change(desk.actor, desk.now) as change:
        await change.record("backup.create", str(file), {})
    return write_backup(state_of(desk.settings), desk.key, out, desk.now)


def _restore(settings: "GatewaySettings", state: "State", archive: BinaryIO, *, force: bool) -> Path | None:
    import asyncio  # noqa: PLC0415 - see gateway.commands
    from datetime import UTC, datetime  # noqa: PLC0415 - see gateway.commands

    from gateway.backup import GatewayRuns, install, unpacked  # noqa: PLC0415 - see gateway.commands

    if state.is_running:
        raise GatewayRuns
    now = datetime.now(UTC)
    with unpacked(state, archive) as scratch:
        asyncio.run(_try(settings, scratch, now))
        return install(state, scratch, now, force=force)


async def _try(settings: "GatewaySettings", scratch: Path, now: "datetime") -> None:
    """Open what was unpacked: the key fits the store, the store's schema is known, the trail is whole."""
    from gateway.backup import DATABASE  # noqa: PLC0415 - see gateway.commands
    from gateway.sealing import load_secret_key  # noqa: PLC0415 - see gateway.commands
    from gateway.store import open_store  # noqa: PLC0415 - see gateway.commands

    key = load_secret_key(scratch, settings.secret_key)
    async with open_store(scratch / DATABASE, key, now) as store:
        await store.verify_audit()


async def _record(desk: "Desk", file: Path) -> int:
    from gateway.commands.desk import state_of  # noqa: PLC0415 - see gateway.commands
    from gateway.store.event_restore import note_restore  # noqa: PLC0415 - see gateway.commands
    from gateway.store.event_store import open_event_store  # noqa: PLC0415 - see gateway.commands

    async with open_event_store(state_of(desk.settings).database) as events:
        await note_restore(events, desk.now)  # before the trail says that there was a restore
    async with desk.store.change(desk.actor, desk.now) as change:
        await change.record("backup.restore", str(file), {})
    return (await desk.store.verify_audit()).count
