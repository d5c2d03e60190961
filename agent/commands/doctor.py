"""``jira-agent doctor``: prints what agent.doctor finds, as it finds it."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import EnvFile, Json, print_json, put, read_settings
from runtime.exits import DENIED, OK, CommandFailed

if TYPE_CHECKING:
    from agent.doctor.check import Check, Circumstances
    from agent.settings import AgentSettings
    from certs.enrollment import EnrollmentCode

STATUS_SECONDS = 5.0
_WIDTH = 19
_ERASE = "\r\x1b[K"


def doctor(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the throughput, Jira's login and the webhook loop.")
    ] = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Check everything that a working agent needs: this machine, the way to the gateway, Jira. Status 1 when one fails.

    Works with the agent running or not, enrolled or not; nothing is changed. Each way of the line is measured for up to
    five seconds. Jira's login is tried once.

    \b
    Examples:
      jira-agent doctor
      jira-agent doctor --quick
      jira-agent doctor --json
    """  # noqa: D301 - the backspace keeps the examples' lines apart in --help
    try:
        settings = read_settings(env_file)
    except CommandFailed as error:
        _print_unreadable(error, as_json=as_json)
        raise
    from runtime.identity import act_as_owner  # noqa: PLC0415 - only here

    act_as_owner(settings.state_dir)
    checks = examine_aloud(settings, quick=quick, silent=as_json)
    is_well = not any(row.result == "fail" for row in checks)
    if as_json:
        _print_all(checks, ok=is_well)
    return OK if is_well else DENIED


def examine_aloud(
    settings: "AgentSettings", *, quick: bool, silent: bool = False, code: "EnrollmentCode | None" = None
) -> "list[Check]":
    """Make the checks and print each as it is found, with a summary; `silent` prints nothing. Returns them."""
    import asyncio  # noqa: PLC0415 - only here

    from agent.doctor.check import Circumstances, summary  # noqa: PLC0415 - the same

    is_watched = not silent and sys.stderr.isatty()
    circumstances = Circumstances(settings, running_agent(settings), _teller(is_watched=is_watched), quick)
    checks = asyncio.run(_examine(circumstances, None if silent else _printer(is_watched=is_watched), code))
    if not silent:
        put(summary(checks))
    return checks


async def _examine(
    circumstances: "Circumstances", show: "Callable[[Check], None] | None", code: "EnrollmentCode | None"
) -> "list[Check]":
    import asyncio  # noqa: PLC0415 - only here
    from contextlib import aclosing  # noqa: PLC0415 - the same

    from agent.doctor.check import failed  # noqa: PLC0415 - the same
    from agent.doctor.examination import EXAMINATION_SECONDS, examine  # noqa: PLC0415 - the same

    checks: list[Check] = []
    try:
        async with asyncio.timeout(EXAMINATION_SECONDS), aclosing(examine(circumstances, code)) as rows:
            async for row in rows:
                checks.append(row)
                if show is not None:
                    show(row)
    except TimeoutError:
        checks.append(failed("doctor", f"not done within {EXAMINATION_SECONDS:g} s", "see which check came last"))
    return checks


def running_agent(settings: "AgentSettings") -> Mapping[str, Any] | None:
    """Return the status page of the agent on this state directory, None when none runs."""
    from runtime.control import call  # noqa: PLC0415 - only here

    try:
        return call(settings.state_dir, "status", seconds=STATUS_SECONDS)
    except CommandFailed:
        return None


def _teller(*, is_watched: bool) -> Callable[[str], None]:
    """Return what shows on a terminal what is going on; the next line takes its place."""

    def tell(what: str) -> None:
        if is_watched:
            sys.stderr.write(f"{_ERASE}      {what} …")
            sys.stderr.flush()

    return tell


def _printer(*, is_watched: bool) -> "Callable[[Check], None]":
    def show(row: "Check") -> None:
        if is_watched:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
        put(f"{row.result}  {row.check:<{_WIDTH}} {row.detail}")
        if row.action:
            put(f"      {'':<{_WIDTH}} {'do: ' if row.result == 'fail' else 'note: '}{row.action}")
        sys.stdout.flush()

    return show


def _print_unreadable(error: CommandFailed, *, as_json: bool) -> None:
    from agent.doctor.check import failed, skip_all  # noqa: PLC0415 - only here
    from agent.doctor.examination import ALL  # noqa: PLC0415 - the same

    problem, _, fix = error.line.rpartition("; ")
    first = failed("settings", problem, fix)
    if as_json:
        _print_all([first, *skip_all(ALL[1:], "the settings cannot be read")], ok=False)


def _print_all(checks: "list[Check]", *, ok: bool) -> None:
    from dataclasses import asdict  # noqa: PLC0415 - only here

    from agent.doctor.check import summary  # noqa: PLC0415 - the same

    print_json({"ok": ok, "summary": summary(checks), "checks": [asdict(row) for row in checks]})
