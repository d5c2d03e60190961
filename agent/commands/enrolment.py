"""``jira-agent enroll``: a one-time code becomes this machine's certificate."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import EnvFile, Json, print_json, put, read_settings, tell
from runtime.exits import USAGE, CommandFailed

if TYPE_CHECKING:
    from agent.settings import AgentSettings
    from certs.enrollment import EnrollmentCode

MAX_CODE_CHARACTERS = 4096


def enroll(
    code: Annotated[
        str | None,
        typer.Argument(help="The code, or - to read it from standard input (it then shows in no list of processes)."),
    ] = None,
    *,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Enroll this machine with the one-time code that the gateway's operator made.

    The key is made here and never leaves. The gateway is checked against the code before anything secret is sent.

    \b
    Examples:
      jira-agent enroll -  < code.txt
      JIRA_AGENT_ENROLL_CODE_FILE=/run/secrets/code jira-agent enroll
    """  # noqa: D301 - the backspace keeps the examples' lines apart in --help
    import asyncio  # noqa: PLC0415 - only here

    from agent.enroll import enroll as enroll_machine  # noqa: PLC0415 - the same
    from agent.routes import make_route  # noqa: PLC0415 - the same
    from agent.rules import user_agent  # noqa: PLC0415 - the same
    from runtime.identity import act_as_owner, ensure_state_directory  # noqa: PLC0415 - the same

    settings = read_settings(env_file)
    parsed = _read_code(code, settings)
    act_as_owner(settings.state_dir)
    ensure_state_directory(settings.state_dir, settings.prefix)
    granted = asyncio.run(enroll_machine(parsed, settings.state_dir, make_route(settings), user_agent()))
    identity, expires = granted.identity, granted.not_after
    if as_json:
        document = {"agent": identity.name, "instance": identity.instance, "gateway": parsed.address}
        return print_json({**document, "expires_at": expires.isoformat()})
    put(f"enrolled as {identity}")
    tell(f"The certificate is valid until {expires:%Y-%m-%d %H:%M} UTC. A running agent uses it within seconds.")
    return None


def _read_code(code: str | None, settings: "AgentSettings") -> "EnrollmentCode":
    from agent.credentials import revealed_code  # noqa: PLC0415 - only here
    from certs.enrollment import parse_code  # noqa: PLC0415 - the same
    from certs.errors import CodeRejected  # noqa: PLC0415 - the same

    if code == "-":
        code = sys.stdin.read(MAX_CODE_CHARACTERS)
    elif code is None and settings.enroll_code is not None:
        code = revealed_code(settings.enroll_code)
    if code is None:
        raise CommandFailed("no enrolment code; give it on standard input: jira-agent enroll - < FILE", USAGE)
    try:
        return parse_code(code)
    except CodeRejected as error:
        raise CommandFailed(str(error)) from None
