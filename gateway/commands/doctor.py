"""`jira-gateway doctor`: look at everything that a working gateway needs, and say what to do about the rest."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.commands.options import EnvFile, Json
from gateway.commands.printing import print_json, print_table
from runtime.exits import DENIED, CommandFailed

if TYPE_CHECKING:
    from typing import Any

    from gateway.checkup import Stock
    from gateway.commands.desk import Visit
    from gateway.operations.desk import Desk
    from gateway.probe import Check
    from gateway.store import Connection


def doctor(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Check settings, store, CA, egress address, listeners, disk, clock, agents, triggers; status 1 when one fails.

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
    found = [store, *asyncio.run(examine(visit.settings, visit.state, connections))]
    return found + (_examine_stock(visit) if store.result == "pass" else [])


def _read_store(visit: "Visit") -> "tuple[Check, list[Connection]]":
    from gateway.probe import Check  # noqa: PLC0415 - see gateway.commands

    try:
        connections = visit.work(lambda desk: desk.store.connections())
    except CommandFailed as failed:
        return Check("store", "fail", failed.line, "restore a backup, or correct JIRA_GATEWAY_DATABASE_URL"), []
    return Check("store", "pass", f"{visit.state.database} holds {len(connections)} connections"), list(connections)


def _examine_stock(visit: "Visit") -> "list[Check]":
    import shutil  # noqa: PLC0415 - see gateway.commands

    from gateway.checkup import check_stock  # noqa: PLC0415 - see gateway.commands
    from gateway.kernel_clock import clock_status  # noqa: PLC0415 - see gateway.commands
    from gateway.probe import Check  # noqa: PLC0415 - see gateway.commands

    settings = visit.settings
    try:
        links = visit.links()
        stock = visit.work(lambda desk: _read_stock(desk, links))
    except CommandFailed as failed:
        return [Check("stock", "fail", failed.line, "see the gateway's log")]
    database = visit.state.database
    stored = database.stat().st_size if database.exists() else 0
    return check_stock(settings, stock, shutil.disk_usage(settings.state_dir).free, stored, clock_status())


async def _read_stock(desk: "Desk", links: "list[dict[str, Any]] | None") -> "Stock":
    from gateway.checkup import Stock  # noqa: PLC0415 - see gateway.commands
    from gateway.commands.trigger_events import opened  # noqa: PLC0415 - see gateway.commands
    from gateway.operations.trigger_views import details  # noqa: PLC0415 - see gateway.commands

    head = await desk.store.audit_head()
    newest = await desk.store.audit_page(max(0, head.count - 1), 1)
    async with opened(desk) as events:
        triggers = [await details(desk, events, row.name) for row in await desk.store.triggers()]
    instances = await desk.store.instances()
    return Stock(desk.now, newest[0].at if newest else None, instances, triggers, links)
