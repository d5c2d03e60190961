"""`jira-gateway triggers`: add, list, show, rotate, enable, replay, remove; events is trigger_events.py's."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands import trigger_events
from gateway.commands.options import EnvFile, Json, Name, group, read_duration, read_name
from gateway.commands.printing import print_fields, print_json, print_table, put, say, text
from runtime.exits import CommandFailed

if TYPE_CHECKING:
    from gateway.commands.desk import Visit
    from gateway.operations.desk import Desk
    from gateway.operations.triggers import MadeTrigger, Replay
    from gateway.store import Trigger
    from gateway.trigger_rules import TriggerFields

app = group("Triggers: which events of which Jira are kept for whom, and where they are sent.")

_KINDS = ("registered", "manual", "polled")
_WAYS = ("lan", "internet")
_PLACES = {"lan": "at the agent", "internet": "at the gateway"}
_UNDECIDED = {"kind": None, "way": None, "note": None, "problem": None, "manual": None}


def _kind(value: str) -> str:
    if value not in _KINDS:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(_KINDS)}")
    return value


def _way(value: str) -> str:
    if value not in _WAYS:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(_WAYS)}")
    return value


ConnectionOption = Annotated[
    str, typer.Option("--connection", metavar="C", parser=read_name, help="Of which Jira.", show_default=False)
]
NameOption = Annotated[
    str, typer.Option("--name", metavar="N", parser=read_name, help="What it is called.", show_default=False)
]
Events = Annotated[
    str, typer.Option("--events", metavar="A,B", help="Names of Jira's webhook events.", show_default=False)
]
Jql = Annotated[str | None, typer.Option("--jql", metavar="JQL", help="Which issues; default: all.")]
DeliverTo = Annotated[
    str | None, typer.Option("--deliver-to", metavar="URL", help="Where events are sent; default: nowhere.")
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", metavar="registered|manual|polled", parser=_kind, help="Default: what is possible."),
]
WayOption = Annotated[
    str | None,
    typer.Option("--way", metavar="lan|internet", parser=_way, help="Where webhooks arrive; default: as possible."),
]
PollInterval = Annotated[
    timedelta | None,
    typer.Option("--poll-interval", metavar="10s", parser=read_duration, help="How often a polled one looks."),
]
Ordered = Annotated[
    bool, typer.Option("--ordered", help="For each issue send an event only when those before are settled.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the first event; in a terminal a manual one does.")]


@app.command()
def add(
    *,
    connection: ConnectionOption,
    name: NameOption,
    events: Events,
    jql: Jql = None,
    deliver_to: DeliverTo = None,
    kind: KindOption = None,
    way: WayOption = None,
    poll_interval: PollInterval = None,
    ordered: Ordered = False,
    wait: Wait = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Add a trigger: from now on these events of a Jira are kept, and sent when there is an address.

    The gateway registers the webhook in Jira, or says what an administrator of Jira has to click, or polls. With
    --deliver-to the secret that signs what is sent is printed once (Standard Webhooks).

    \b
    Examples:
      jira-gateway triggers add --connection hq --name tickets --events jira:issue_created,comment_created
      jira-gateway triggers add --connection hq --name ops --events jira:issue_updated --jql 'project = OPS' \\
        --deliver-to https://ops.example.com/jira --ordered
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import triggers  # noqa: PLC0415 - see gateway.commands

    chosen = {"kind": kind, "way": way, "poll": poll_interval}
    fields = _fields(connection, events, jql, deliver_to, chosen, ordered=ordered)
    visit = enter(env_file)
    made = visit.work(lambda desk: triggers.add(desk, name, fields))
    is_manual = _settle_and_tell(visit, made, as_json=as_json)
    if wait or (is_manual and trigger_events.in_terminal()):
        trigger_events.wait_for_first(visit, name)


@app.command("list")
def list_triggers(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """List all triggers: how each learns of events, and how many wait or were given up."""
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands

    rows = at_desk(env_file, _summaries)
    if as_json:
        return print_json(rows)
    shown = [row | row["counts"] | {"deliver_to": _short(row["deliver_to"])} for row in rows]
    columns = ("name", "connection", "state", "kind", "way", "deliver_to", "pending", "dead", "problem")
    return print_table(
        shown, columns, empty="No triggers: jira-gateway triggers add --connection C --name N --events …"
    )


@app.command()
def show(name: Name, *, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Show how a trigger learns of events, how that goes, and what became of its deliveries.

    While a manual one waits for its first event, also what an administrator of Jira has to do.

    \b
    Example:
      jira-gateway triggers show tickets
    """  # noqa: D301 - see add
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    visit = enter(env_file)
    row = visit.work(lambda desk: _details(desk, name))
    manual = _steps(visit, row)
    if as_json:
        return print_json(row | {"manual": manual})
    _print_details(row)
    return _print_steps(manual)


@app.command()
def rotate(
    name: Name,
    *,
    overlap: Annotated[
        timedelta,
        typer.Option(parser=read_duration, metavar="24h", help="How long the old secret signs too."),
    ] = "24h",  # type: ignore[assignment] # typer parses the default too
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Give a trigger a new signing secret, printed once; for a while both sign.

    \b
    Example:
      jira-gateway triggers rotate tickets --overlap 48h
    """  # noqa: D301 - see add
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import triggers  # noqa: PLC0415 - see gateway.commands

    secret = at_desk(env_file, lambda desk: triggers.rotate(desk, name, overlap)).get_secret_value()
    if as_json:
        return print_json({"name": name, "secret": secret})
    say(f"The new signing secret of {name} is shown once; the old one signs too for {overlap}:")
    return put(secret)


@app.command()
def enable(name: Name, *, env_file: EnvFile = None) -> None:
    """Let a trigger send again after its subscriber was gone (410); what has waited goes first.

    \b
    Example:
      jira-gateway triggers enable tickets
    """  # noqa: D301 - see add
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import triggers  # noqa: PLC0415 - see gateway.commands

    at_desk(env_file, lambda desk: triggers.enable(desk, name))
    say(f"Enabled {name}.")


@app.command()
def replay(
    name: Name,
    *,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME|2h", help="What was received since then, or in so long a time."),
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A message's id (evt_…) or a cursor; repeatable.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up; alone: all of that.")] = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Send events again, under the ids that they had: a subscriber that has dealt with them knows them.

    \b
    Examples:
      jira-gateway triggers replay tickets --since 2h
      jira-gateway triggers replay tickets --id evt_1f0c7d20a84be0c9d3b1a65f_3 --id 4711
      jira-gateway triggers replay tickets --dead
    """  # noqa: D301 - see add
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import triggers  # noqa: PLC0415 - see gateway.commands

    wanted = triggers.Replay(since, tuple(ids or ()), dead)
    count = at_desk(env_file, lambda desk: _replay(desk, name, wanted))
    if as_json:
        return print_json({"name": name, "count": count})
    return say(f"{count} events of {name} are sent again.")


@app.command()
def remove(name: Name, *, env_file: EnvFile = None) -> None:
    """Remove a trigger and all its deliveries; the running gateway takes its webhook out of Jira.

    \b
    Example:
      jira-gateway triggers remove tickets
    """  # noqa: D301 - see add
    from gateway.commands.desk import at_desk  # noqa: PLC0415 - see gateway.commands
    from gateway.operations import triggers  # noqa: PLC0415 - see gateway.commands

    removed = at_desk(env_file, lambda desk: triggers.remove(desk, name))
    say(f"Removed {name}.")
    if removed.kind == "manual":
        say("The webhook that was made by hand stays in Jira: delete it there when no other trigger needs it.")


app.command()(trigger_events.events)


def _fields(
    connection: str, events: str, jql: str | None, deliver_to: str | None, chosen: dict[str, Any], *, ordered: bool
) -> "TriggerFields":
    from gateway.store import Kind, Way  # noqa: PLC0415 - see gateway.commands
    from gateway.trigger_rules import TriggerFields  # noqa: PLC0415 - see gateway.commands

    kind, way, poll = chosen["kind"], chosen["way"], chosen["poll"]
    return TriggerFields(
        connection,
        tuple(events.split(",")),
        jql,
        deliver_to,
        None if kind is None else Kind(kind),
        None if way is None else Way(way),
        None if poll is None else poll.total_seconds(),
        ordered,
    )


async def _summaries(desk: "Desk") -> list[dict[str, Any]]:
    from gateway.operations.trigger_views import summaries  # noqa: PLC0415 - see gateway.commands

    async with trigger_events.opened(desk) as events:
        return await summaries(desk, events)


async def _details(desk: "Desk", name: str) -> dict[str, Any]:
    from gateway.operations.trigger_views import details  # noqa: PLC0415 - see gateway.commands

    async with trigger_events.opened(desk) as events:
        return await details(desk, events, name)


async def _replay(desk: "Desk", name: str, wanted: "Replay") -> int:
    from gateway.operations import triggers  # noqa: PLC0415 - see gateway.commands

    async with trigger_events.opened(desk) as events:
        return await triggers.replay(desk, events, name, wanted)


def _settle_and_tell(visit: "Visit", made: "MadeTrigger", *, as_json: bool) -> bool:
    """Print a new trigger's secret and what came of it; say whether somebody has to do something in Jira."""
    name = made.trigger.name
    if not as_json:
        _print_secret(made)
    settled = _settle(visit, name)
    if as_json:
        print_json({"name": name, "secret": _plain(made)} | (settled or _UNDECIDED))
    _tell(made, settled)
    return settled is not None and settled["manual"] is not None


def _settle(visit: "Visit", name: str) -> dict[str, Any] | None:
    """Return what the running gateway made of a new trigger, None when nothing runs. The trigger is there anyway."""
    if not visit.state.is_running:
        return None
    try:
        return _UNDECIDED | visit.ask("settle-trigger", {"name": name})
    except CommandFailed as failed:
        return _UNDECIDED | {"problem": failed.line}
    except KeyboardInterrupt:
        return _UNDECIDED | {"problem": "not waited for"}


def _steps(visit: "Visit", row: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is still to be done by hand in Jira, as far as the running gateway knows."""
    hook = row["hook"]
    is_waiting = row["kind"] == "manual" and (hook is None or hook["first_event_at"] is None)
    if not is_waiting or not visit.state.is_running:
        return None
    manual: dict[str, Any] | None = visit.ask("trigger-steps", {"name": row["name"]})["manual"]
    return manual


def _plain(made: "MadeTrigger") -> str | None:
    return None if made.secret is None else made.secret.get_secret_value()


def _print_secret(made: "MadeTrigger") -> None:
    secret = _plain(made)
    if secret is None:
        say(f"Added {made.trigger.name}. Its events are fetched: jira-gateway triggers events {made.trigger.name}")
    else:
        say(f"Added {made.trigger.name}. The secret that signs what is sent is shown once:")
        put(secret)


def _tell(made: "MadeTrigger", settled: dict[str, Any] | None) -> None:
    """Say how a new trigger learns of events."""
    name = made.trigger.name
    if settled is None:
        say(f"The gateway does not run here: it decides when it runs how {name} learns of events.")
        return
    if settled["kind"] is not None:
        way = "" if settled["way"] is None else f", and its webhooks arrive {_PLACES[settled['way']]}"
        note = "" if settled["note"] is None else f": {settled['note']}"
        say(f"{name} is {settled['kind']}{way}{note}")
    if settled["problem"] is not None:
        say(f"Problem: {settled['problem']}; see jira-gateway triggers show {name}")
    _warn(made.trigger)
    _print_steps(settled["manual"])


def _warn(trigger: "Trigger") -> None:
    """Say which of a trigger's events come for everything; which a search does not find is in the gateway's note."""
    from gateway.trigger_rules import never_filtered  # noqa: PLC0415 - see gateway.commands

    unfiltered = never_filtered(trigger.events) if trigger.jql is not None else []
    if unfiltered:
        say(f"Warning: Jira does not filter {', '.join(unfiltered)} by --jql: these events come for everything.")


def _print_steps(manual: dict[str, Any] | None) -> None:
    if manual is None:
        return
    say("\nAn administrator of Jira makes the webhook by hand:")
    for number, step in enumerate(manual["steps"], 1):
        say(f"  {number}. {step}")


def _print_details(row: dict[str, Any]) -> None:
    hook, watermark, gaps = row.pop("hook"), row.pop("watermark"), row.pop("open_gaps")
    counts = ", ".join(f"{count} {state}" for state, count in row.pop("counts").items() if count)
    print_fields(row | {"deliveries": counts or "none yet"})
    if hook is not None:
        put("\nIts webhook in Jira")
        print_fields(hook)
    if watermark is not None:
        put("\nLooked at by search")
        print_fields(watermark)
    for gap in gaps:
        way = "both ways" if gap["way"] is None else gap["way"]
        say(f"Gap not looked through yet: {text(gap['from_at'])} to {text(gap['to_at'])} ({gap['cause']}, {way})")


def _short(url: str | None) -> str | None:
    """Return an address without what may be a secret in it."""
    return None if url is None else url.partition("?")[0]
