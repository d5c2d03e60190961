"""``jira-agent support-bundle``: one archive for whoever is asked for help, without secrets."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import EnvFile, put, read_settings, tell
from runtime.exits import CommandFailed

if TYPE_CHECKING:
    from agent.settings import AgentSettings

_ABOUT = """What is in here

versions.txt, machine.txt   programs, libraries, system
settings.txt                every setting; secrets are stars
status.json, metrics.txt    what the running agent says of itself
doctor.txt                  jira-agent doctor --quick
policy.json                 the rules of this machine
state-directory.txt         names, modes and sizes of its files; no content
log.txt, unit.txt           the last lines of the journal, and systemd's view
audit.json                  only with --with-audit: the newest entries, with paths of requests

Secrets that are known on this machine, and what looks like one, were replaced by ***.
It holds host names and addresses, and names of callers. Look through it before you send it.
"""


def support_bundle(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write it; a new file. Default: here, by date.")
    ] = None,
    *,
    with_audit: Annotated[
        bool, typer.Option("--with-audit", help="The newest 1000 entries of the audit log, too: they name paths.")
    ] = False,
    no_doctor: Annotated[bool, typer.Option("--no-doctor", help="Leave out what takes time and the net.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Write a redacted archive for support: versions, settings, status, metrics, doctor, policy, logs.

    Works with the agent running or not, and with settings that cannot be read. Nothing is sent anywhere.

    \b
    Examples:
      jira-agent support-bundle
      jira-agent support-bundle /tmp/agent.tar.gz --with-audit
    """  # noqa: D301 - the backspace keeps the examples' lines apart in --help
    from agent.support import gather, packed, parts_of_machine  # noqa: PLC0415 - only here

    now = datetime.now(UTC)
    folder = f"jira-agent-support-{''.join(filter(str.isalnum, node()))[:32]}-{now:%Y%m%dT%H%M%SZ}"
    target = file or Path(f"{folder}.tar.gz")
    with os.fdopen(_create(target), "wb") as archive, _removed_on_failure(target):  # before we act as another user
        parts = {"README.txt": lambda: _ABOUT, **parts_of_machine()}
        texts = gather({name: part for name, part in parts.items() if name in {"log.txt", "unit.txt"}}, ())
        settings, problem = _settings(env_file)
        parts["settings.txt"] = lambda: f"cannot be read: {problem}\n"
        secrets: tuple[str, ...] = ()
        if settings is not None:
            more, secrets = _parts(settings, with_audit=with_audit, with_doctor=not no_doctor)
            parts |= more
        parts |= {name: _said(text) for name, text in texts.items()}  # once more, now that the secrets are known
        archive.write(packed(gather(parts, secrets), folder, now.timestamp()))
    put(str(target))
    tell("Look through it before you send it: it holds host names, addresses and names of callers, and no secrets.")


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _said(text: str) -> Callable[[], str]:
    return lambda: text


def _settings(env_file: Path | None) -> "tuple[AgentSettings | None, str]":
    try:
        return read_settings(env_file), ""
    except CommandFailed as failed:
        return None, failed.line


def _parts(
    settings: "AgentSettings", *, with_audit: bool, with_doctor: bool
) -> tuple[dict[str, Callable[[], str]], tuple[str, ...]]:
    from agent.commands.doctor import examine_aloud, running_agent  # noqa: PLC0415 - only here
    from agent.credentials import revealed_secrets  # noqa: PLC0415 - the same
    from agent.support import parts_of_agent  # noqa: PLC0415 - the same
    from runtime.identity import act_as_owner  # noqa: PLC0415 - the same

    act_as_owner(settings.state_dir)

    def doctor() -> str:
        rows = examine_aloud(settings, quick=True, silent=True)
        return "".join(f"{row.result}  {row.check:<19} {row.detail}  {row.action}".rstrip() + "\n" for row in rows)

    parts = parts_of_agent(settings, running_agent(settings), with_audit=with_audit)
    if with_doctor:
        sys.stderr.write("examining, up to half a minute …\n")
        parts["doctor.txt"] = doctor
    return parts, revealed_secrets(settings)


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be made ({error.strerror}); name a new file") from None
