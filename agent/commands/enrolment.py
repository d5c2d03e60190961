"""``jira-agent enroll``: a one-time code becomes this machine's certificate."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.dialogue import ask, ask_secretly, consent, is_person_there
from agent.commands.doctor import examine_aloud, running_agent
from agent.commands.options import EnvFile, Json, print_json, put, read_settings, tell
from runtime.exits import USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.identity import Identity
    from agent.settings import AgentSettings
    from certs.certificates import AgentCertificate
    from certs.enrollment import EnrollmentCode

MAX_CODE_CHARACTERS = 4096
JIRA_URL, PROFILE = "JIRA_AGENT_JIRA_URL", "JIRA_AGENT_POLICY_PROFILE"
NO_CODE = "no enrolment code; give it on standard input: jira-agent enroll - < FILE"


Code = Annotated[
    str | None,
    typer.Argument(help="The code, or - to read it from standard input (it then shows in no list of processes)."),
]
JiraUrl = Annotated[
    str | None, typer.Option("--jira-url", metavar="URL", help="Jira's base URL, to be written into the env file.")
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAMES", help="The policy's profiles, to be written into the env file."),
]
WriteEnv = Annotated[bool, typer.Option("--write-env", help="Write them there without asking.")]
Force = Annotated[bool, typer.Option("--force", help="Enroll again although the certificate is valid.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Ask nothing, also on a terminal.")]


def enroll(
    code: Code = None,
    *,
    jira_url: JiraUrl = None,
    profile: Profile = None,
    write_env: WriteEnv = False,
    force: Force = False,
    no_input: NoInput = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Enroll this machine with the one-time code that the gateway's operator made.

    On a terminal it asks for what is missing; the code is not shown. The key is made here and never leaves. The gateway
    is checked against the code before anything secret is sent. Running it again with the same code changes nothing.

    \b
    Examples:
      jira-agent enroll
      jira-agent enroll - --no-input  < code.txt
      jira-agent enroll - --jira-url https://jira.corp.local/jira --write-env  < code.txt
      JIRA_AGENT_ENROLL_CODE_FILE=/run/secrets/code jira-agent enroll
    """  # noqa: D301 - the backspace keeps the examples' lines apart in --help
    is_asked = not no_input and is_person_there()
    settings = read_settings(env_file)
    parsed = _given_code(code, settings, is_asked=is_asked)
    standing = _standing(settings)
    if standing is not None and not force and (parsed is None or _is_used(settings, parsed)):
        return _nothing_to_do(standing, as_json=as_json)
    if parsed is None and not is_asked:
        raise CommandFailed(NO_CODE, USAGE)
    parsed = parsed or ask_secretly("Enrolment code (it is not shown)", _code)
    wanted = _wanted_settings(settings, jira_url, profile, is_asked=is_asked)
    path = env_file or settings.default_env_file
    if wanted and _keep(path, wanted, write_env=write_env, is_asked=is_asked):
        settings = read_settings(env_file)
    _tell_outcome(settings, parsed, _enroll(settings, parsed), as_json=as_json)
    return _go_on(settings, path, is_watched=is_asked and not as_json)


def _given_code(code: str | None, settings: "AgentSettings", *, is_asked: bool) -> "EnrollmentCode | None":
    """Return the code of the argument, of standard input or of the settings; None when there is none."""
    from agent.credentials import revealed_code  # noqa: PLC0415 - only here

    if code == "-":
        if is_asked:  # `-` typed on a terminal: what is pasted then would be shown
            return None
        code = sys.stdin.read(MAX_CODE_CHARACTERS)
    elif code is None and settings.enroll_code is not None:
        code = revealed_code(settings.enroll_code)
    if code is None:
        return None
    try:
        return _code(code)
    except ValueError as error:
        raise CommandFailed(f"the enrolment code {error}") from None


def _code(text: str) -> "EnrollmentCode":
    from certs.enrollment import parse_code  # noqa: PLC0415 - only here
    from certs.errors import CodeRejected  # noqa: PLC0415 - the same

    try:
        return parse_code(text)
    except CodeRejected as error:
        raise ValueError(f"{error.flaw.value}; {error.fix}") from None


def _standing(settings: "AgentSettings") -> "Identity | None":
    """Return the identity that this machine has, None when there is none that a gateway would take."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only here

    from agent.identity import read_identity  # noqa: PLC0415 - the same
    from certs.errors import CertsError  # noqa: PLC0415 - the same

    try:
        identity = read_identity(settings.state_dir)
        identity.context()
    except CertsError:
        return None
    return None if identity.is_expired(datetime.now(UTC)) else identity


def _is_used(settings: "AgentSettings", code: "EnrollmentCode") -> bool:
    from agent.enroll import is_used  # noqa: PLC0415 - only here

    return is_used(settings.state_dir, code)


def _nothing_to_do(standing: "Identity", *, as_json: bool) -> None:
    expires = standing.certificate.not_after
    if as_json:
        document = {"agent": standing.name, "instance": standing.instance, "gateway": standing.gateway.url}
        return print_json({**document, "expires_at": expires.isoformat(), "changed": False})
    put(f"already enrolled as {standing.certificate.identity}")
    tell(
        f"Nothing was changed: the certificate is valid until {expires:%Y-%m-%d %H:%M} UTC. "
        "Give a new code, or --force, to enroll again."
    )
    return None


def _wanted_settings(
    settings: "AgentSettings", jira_url: str | None, profile: str | None, *, is_asked: bool
) -> dict[str, str]:
    """Return what is to be written into the env file: from the options, or asked for when it is set nowhere."""
    wanted: dict[str, str] = {}
    if jira_url is not None:
        wanted[JIRA_URL] = _from_option("--jira-url", jira_url, _jira_url)
    elif is_asked and settings.jira_url is None:
        question = "Jira's base URL, e.g. https://jira.corp.local/jira (empty: set it later)"
        wanted[JIRA_URL] = ask(question, lambda text: text and _jira_url(text))
    if profile is not None:
        wanted[PROFILE] = _from_option("--profile", profile, _profiles)
    elif (
        is_asked
        and wanted.get(JIRA_URL)
        and "policy_profile" not in settings.model_fields_set
        and not settings.policy_file
    ):
        tell("What may pass to Jira: read-only, issues, webhooks, full-rest, or several with commas.")
        wanted[PROFILE] = ask("Policy profile", _profiles, default="read-only")
    return {name: value for name, value in wanted.items() if value}


def _from_option(option: str, text: str, read: "Callable[[str], str]") -> str:
    try:
        return read(text)
    except ValueError as error:
        raise CommandFailed(f"{option} {error}", USAGE) from None


def _jira_url(text: str) -> str:
    from agent.addresses import JiraAddress  # noqa: PLC0415 - only here

    return JiraAddress.parse(text).url


def _profiles(text: str) -> str:
    from agent.policy import Policy, PolicyError  # noqa: PLC0415 - only here

    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        Policy.from_profiles(names)
    except PolicyError as error:
        raise ValueError(f"is not known: {error.problem}; {error.fix}") from None
    return ",".join(names)


def _keep(path: Path, wanted: dict[str, str], *, write_env: bool, is_asked: bool) -> bool:
    """Write the settings into the env file if that is wanted; otherwise say what to put there. True when written."""
    from agent.env_file import EnvFileUnwritable, assignment, can_write, write_assignments  # noqa: PLC0415 - only here

    lines = [assignment(name, value) for name, value in wanted.items()]
    for line in lines:
        tell(f"  {line}")
    may = write_env or (is_asked and can_write(path) and consent(f"Write this into {path}?"))
    if not may:
        tell(f"Put that into {path}.")
        return False
    try:
        write_assignments(path, wanted)
    except EnvFileUnwritable as error:
        if write_env:
            raise CommandFailed(f"{path} cannot be written ({error.reason}); run this as root") from None
        tell(f"{path} cannot be written ({error.reason}): put that there by hand.")
        return False
    tell(f"Written into {path}.")
    return True


def _enroll(settings: "AgentSettings", code: "EnrollmentCode") -> "AgentCertificate":
    import asyncio  # noqa: PLC0415 - only here

    from agent.enroll import enroll as enroll_machine  # noqa: PLC0415 - the same
    from agent.routes import make_route  # noqa: PLC0415 - the same
    from agent.rules import user_agent  # noqa: PLC0415 - the same
    from runtime.identity import act_as_owner, ensure_state_directory  # noqa: PLC0415 - the same

    act_as_owner(settings.state_dir)
    ensure_state_directory(settings.state_dir, settings.prefix)
    return asyncio.run(enroll_machine(code, settings.state_dir, make_route(settings), user_agent()))


def _tell_outcome(
    settings: "AgentSettings", code: "EnrollmentCode", granted: "AgentCertificate", *, as_json: bool
) -> None:
    identity, expires = granted.identity, granted.not_after
    if as_json:
        document = {"agent": identity.name, "instance": identity.instance, "gateway": code.address}
        print_json({**document, "expires_at": expires.isoformat(), "changed": True})
    else:
        put(f"enrolled as {identity}")
        tell(f"The certificate is valid until {expires:%Y-%m-%d %H:%M} UTC.")
    dialled = [gateway.url for gateway in settings.gateway_url]
    if dialled and code.address not in dialled:
        tell(f"JIRA_AGENT_GATEWAY_URL says {', '.join(dialled)}, so the agent dials that and not {code.address}.")


def _go_on(settings: "AgentSettings", path: Path, *, is_watched: bool) -> None:
    """Say what happens by itself and what does not, and let a person see the quick checks."""
    page = running_agent(settings)
    if settings.jira_url is None:
        start = "start" if page is None else "restart"
        tell(f"Next: set {JIRA_URL} in {path}, then {start} the agent (systemctl {start} jira-agent).")
    elif page is None:
        tell("Next: start the agent (systemctl start jira-agent, or jira-agent run).")
    else:
        tell("The running agent takes it up by itself within seconds; see jira-agent status.")
    if is_watched:
        examine_aloud(settings, quick=True)
    else:
        tell("'jira-agent doctor' checks the rest.")
