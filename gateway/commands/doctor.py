"""`jira-gateway doctor`: look at everything that a working gateway needs, and say what to do about the rest."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.commands.options import EnvFile, Json
from gateway.commands.printing import print_json, print_table
from runtime.exits import DENIED, CommandFailed

if TYPE_CHECKING:
    from gateway.commands.desk import Visit
    from gateway.probe import Check
    from gateway.store import Connection


def doctor(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Check settings, store, CA, egress address and listeners; status 1 when one of them fails.

    Works with the gateway running or not; nothing is changed.

    \b
    Example:
      jira-gateway doctor --env-file /etc/jira-gateway/gateway.env
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    checks = _examine(enter(env_file))
    failed = [row.check for row in checks if row.result == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(row) for row in checks]})
    else:
        print_table(map(asdict, checks), ("check", "result", "detail", "action"), empty="")
    if failed:
        raise CommandFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}", DENIED)


def _examine(visit: "Visit") -> "list[Check]":
    import asyncio  # noqa: PLC0415 - see gateway.commands

    from gateway.doctor import examine  # noqa: PLC0415 - see gateway.commands

    store, connections = _read_store(visit)
    return [store, *asyncio.run(examine(visit.settings, visit.state, connections))]


def _read_store(visit: "Visit") -> "tuple[Check, list[Connection]]":
    from gateway.probe import Check  # noqa: PLC0415 - see gateway.commands

    try:
        connections = visit.work(lambda desk: desk.store.connections())
    except CommandFailed as failed:
        return Check("store", "fail", failed.line, "restore a backup, or correct JIRA_GATEWAY_DATABASE_URL"), []
    return Check("store", "pass", f"{visit.state.database} holds {len(connections)} connections"), list(connections)
