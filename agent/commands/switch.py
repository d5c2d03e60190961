"""``jira-agent pause | resume | read-only``: the on-premise administrator's switch of the running agent."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from agent.commands.options import EnvFile, Json, print_json, put, read_settings, tell

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PAUSED: Final = "no request and no event passes"
_MEANINGS: Final = {
    "paused": f"paused: {_PAUSED}; webhooks are kept here",
    "read-only": "read-only: what the policy allows passes as far as it only reads",
    "open": "open: the policy alone decides what passes",
}


def read_duration(text: str) -> timedelta:
    """Return 90s, 30m, 2h or 1d as a time; raises a usage error."""
    found = re.fullmatch(r"(\d{1,7})([smhd])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= 366 * _UNITS["d"]:
        raise typer.BadParameter("write a time up to 366d, such as 90s, 30m, 2h or 1d")
    return timedelta(seconds=seconds)


Reason = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Why; callers, the gateway's operator and the audit log read it, too."),
]
For = Annotated[
    timedelta | None,
    typer.Option("--for", parser=read_duration, metavar="2h", help="Turn back by itself after this time."),
]


def pause(
    *,
    reason: Reason = None,
    for_: For = None,
    now: Annotated[bool, typer.Option("--now", help="End the requests under way, too.")] = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Let nothing pass, at once, until `resume`: callers get 503 `paused`, webhooks are kept on this machine.

    It counts for every request that comes after this command has returned, stays across restarts, and nobody at the
    gateway can undo it. Another agent of the same name that is not paused serves the requests.

    \b
    Examples:
      jira-agent pause --reason "Jira upgrade" --for 2h
      jira-agent pause --now
    """  # noqa: D301 - the backspace keeps the examples' lines apart in --help
    seconds = None if for_ is None else for_.total_seconds()
    _turn("pause", {"reason": reason, "seconds": seconds, "now": now}, env_file, as_json=as_json)


def resume(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """End `pause` or `read-only`: the policy alone decides again, and events that were kept go on their way."""
    _turn("resume", {}, env_file, as_json=as_json)


def read_only(*, reason: Reason = None, for_: For = None, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Narrow the policy to what the profile `read-only` allows, until `resume`; it is never widened by this.

    It counts at once and across restarts, as `pause` does. Writes are refused with 403 `policy_denied`.

    \b
    Examples:
      jira-agent read-only --reason "index rebuild" --for 30m
    """  # noqa: D301 - see pause
    seconds = None if for_ is None else for_.total_seconds()
    _turn("read-only", {"reason": reason, "seconds": seconds}, env_file, as_json=as_json)


def _turn(command: str, arguments: dict[str, Any], env_file: Path | None, *, as_json: bool) -> None:
    from runtime.control import call  # noqa: PLC0415 - only here

    answer = call(read_settings(env_file).state_dir, command, arguments, seconds=20)
    if as_json:
        return print_json(answer)
    until = f", until {answer['until']}" if answer["until"] else ""
    put(f"{_MEANINGS[answer['mode']]}{until}")
    if answer["ended"]:
        tell(f"{answer['ended']} requests under way were ended.")
    elif answer["mode"] == "paused" and answer["under_way"]:
        tell(f"{answer['under_way']} requests under way may finish; jira-agent pause --now ends them.")
    return None
