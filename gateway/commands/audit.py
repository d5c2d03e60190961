"""`jira-gateway audit`: list and verify."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.options import EnvFile, Json, group
from gateway.commands.printing import print_json, print_table, put, say

if TYPE_CHECKING:
    from gateway.audit import Head
    from gateway.operations.desk import Desk

app = group("The audit trail: every change, who made it, chained so that tampering shows.")


@app.command("list")
def list_records(
    *,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, help="Only the newest N; 0: all.")] = 0,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """List the changes, oldest first."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    rows = at_desk(env_file, _rows)[-last:]
    if as_json:
        return print_json(rows)
    return print_table(rows, ("seq", "at", "actor", "action", "subject", "detail"), empty="Nothing has changed yet.")


@app.command()
def verify(
    *,
    head: Annotated[
        str | None, typer.Option("--head", metavar="COUNT:MAC", help="A head printed earlier and kept elsewhere.")
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Check the chain and print its head; status 1 when a record was edited, removed, inserted or moved.

    Records cut off the end are only noticed with --head: keep the printed head outside this machine.

    \b
    Example:
      jira-gateway audit verify --head "$(cat /mnt/safe/audit-head)"
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.audit import Head  # noqa: PLC0415 - see gateway.commands
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    try:
        kept = None if head is None else Head.parse(head)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    found = at_desk(env_file, lambda desk: _verify(desk, kept))
    if as_json:
        return print_json({"ok": True, "count": found.count, "head": str(found)})
    say(f"The audit trail is whole: {found.count} records.")
    return put(str(found))


async def _rows(desk: "Desk") -> list[dict[str, Any]]:
    return [asdict(record) async for record in desk.store.audit()]


async def _verify(desk: "Desk", kept: "Head | None") -> "Head":
    return await desk.store.verify_audit(kept)
