"""``jira-agent audit``: what this agent carried, refused and changed, and whether that record is whole."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import EnvFile, Json, group, print_json, put, read_settings, tell
from runtime.exits import DENIED, OK, USAGE, CommandFailed

if TYPE_CHECKING:
    from agent.audit_chain import Head

app = group(
    """Read and check the audit log of this machine, with the agent running or not.

    \b
    Examples:
      jira-agent audit list --last 20
      jira-agent audit list --since 2h --json
      jira-agent audit verify
    """
)


@app.command()
def verify(
    *,
    head: Annotated[
        str | None,
        typer.Option(metavar="COUNT:HASH", help="A head from the agent's ordinary log (`audit_head`), kept elsewhere."),
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Check the whole chain: exit 1, and the place, when a line was changed, removed, inserted, moved or torn.

    Only with --head can it be seen that lines were cut off the end, or that everything was written anew.
    """
    from agent.audit_check import verify as check  # noqa: PLC0415 - only here

    kept = None if head is None else _head(head)
    try:
        report = check(_directory(env_file), kept)
    except OSError as error:
        raise CommandFailed(f"the audit log cannot be read: {error}") from None
    if as_json:
        print_json({
            "ok": not report.problems, "first": report.first, "head": str(report.head), "problems": report.problems,
            "notes": report.notes,
        })  # fmt: skip
        return DENIED if report.problems else OK
    for line in report.notes:
        tell(f"note: {line}")
    for line in report.problems:
        tell(f"broken: {line}")
    if report.problems:
        return DENIED
    put(f"ok {report.first} to {report.head.count}, head {report.head}")
    return OK


@app.command("list")
def list_entries(
    *,
    last: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many, the newest.")] = 20,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="None from before: 2026-11-26T08:00 (UTC), or 90s, 30m, 2h, 1d.")
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Print the newest entries, oldest first. What is in them is not checked here: `audit verify`."""
    from agent.audit_check import newest  # noqa: PLC0415 - only here

    try:
        entries = newest(_directory(env_file), last, "" if since is None else _moment(since))
    except OSError as error:
        raise CommandFailed(f"the audit log cannot be read: {error}") from None
    if as_json:
        return print_json(entries)
    if not entries:
        return tell("No entries.")
    for entry in entries:
        put(_line(entry))
    return None


def _directory(env_file: Path | None) -> Path:
    from agent.audit_log import AUDIT_FOLDER  # noqa: PLC0415 - only here
    from runtime.identity import act_as_owner  # noqa: PLC0415 - the same

    state_dir = read_settings(env_file).state_dir
    act_as_owner(state_dir)
    directory = state_dir / AUDIT_FOLDER
    if not directory.is_dir():
        raise CommandFailed(f"there is no audit log in {directory}; the agent has not run here yet")
    return directory


def _head(text: str) -> "Head":
    from agent.audit_chain import Head  # noqa: PLC0415 - only here

    try:
        return Head.parse(text)
    except ValueError as error:
        raise CommandFailed(str(error), USAGE) from None


def _moment(text: str) -> str:
    ago = re.fullmatch(r"(\d{1,7})([smhd])", text)
    if ago is not None:
        seconds = int(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[ago[2]]
        return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed("--since: write 2026-11-26T08:00, or 90s, 30m, 2h or 1d", USAGE) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _line(entry: dict[str, Any]) -> str:
    number, at, kind = entry.get("n"), entry.get("at"), entry.get("kind")
    if kind == "request":
        what = f"{entry.get('caller') or '-'} {entry.get('method')} {entry.get('path')}"
        status = f" {entry['status']}" if entry.get("status") else ""
        rule = f" ({entry['rule']})" if entry.get("rule") else ""
        return f"{number} {at} {what}: {entry.get('outcome')}{status}{rule}, {entry.get('ms')} ms, {entry.get('id')}"
    rest = {name: value for name, value in entry.items() if name not in {"n", "at", "kind", "chain"}}
    return f"{number} {at} {kind} " + " ".join(f"{name}={value}" for name, value in rest.items() if value is not None)
