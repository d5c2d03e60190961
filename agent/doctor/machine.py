"""What can be checked without leaving this machine: settings, state directory, own certificate."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.doctor.check import Check, Circumstances, failed, passed, skipped
from agent.identity import CA_FILE, GATEWAY_FILE, IDENTITY_FILE, Identity, is_enrolled, read_identity
from agent.rules import check_rules, load_policy
from agent.settings import AgentSettings
from agent.webhook_listener import webhook_tls
from certs.errors import CertsError
from runtime.configuration import ConfigurationError

MIN_FREE_BYTES = 64 << 20
PRIVATE_FILES = (IDENTITY_FILE, "control.sock", "spool.db", "spool.db-wal", "spool.db-shm")
LAST_PART = 0.25  # of a certificate's life: by then it should have been renewed long ago, at half of it


def check_settings(circumstances: Circumstances) -> Check:
    """Load the rules; that the settings can be read was known before."""
    settings = circumstances.settings
    try:
        check_rules(settings)
        webhook_tls(settings)
        policy = load_policy(settings)
    except ConfigurationError as error:
        return failed("settings", f"{error.variable}: {error.problem}", error.fix)
    jira = "JIRA_AGENT_JIRA_URL is not set yet" if settings.jira_url is None else f"Jira {settings.jira_url}"
    return passed("settings", f"{jira}; policy {policy.source} with {len(policy.rules.rules)} rules")


def check_state(circumstances: Circumstances) -> Check:
    """Look at the state directory: whose it is, who else can reach it, whether there is room."""
    directory = circumstances.settings.state_dir
    try:
        status = directory.stat()
    except FileNotFoundError:
        return skipped("state", f"{directory} does not exist yet; 'jira-agent run' or 'enroll' makes it")
    except OSError as error:
        return failed("state", f"{directory}: {error.strerror}", "run this as root, or as the user of the agent")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        return failed("state", f"{directory} has mode {mode:04o}: others reach its keys", f"chmod 700 {directory}")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return failed(
            "state", f"{directory} belongs to {_owner(status.st_uid)}", "run this as root, or as the user of the agent"
        )
    for problem, action in _wrong_files(directory, status.st_uid):
        return failed("state", problem, action)
    return _room(circumstances.settings, _owner(status.st_uid))


def _room(settings: AgentSettings, owner: str) -> Check:
    directory = settings.state_dir
    free = shutil.disk_usage(directory).free
    wanted = settings.spool_max_bytes if settings.webhook_listen is not None else MIN_FREE_BYTES
    detail = f"{directory} of {owner}, closed to others, {free >> 20} MiB free"
    if free < min(wanted, MIN_FREE_BYTES):
        return failed("state", detail, "make room on this disk: certificates and webhooks are written there")
    if free < wanted:
        return passed("state", detail, f"webhooks may take {wanted >> 20} MiB (JIRA_AGENT_SPOOL_MAX_BYTES)")
    return passed("state", detail)


def _wrong_files(directory: Path, owner: int) -> Iterator[tuple[str, str]]:
    for name in PRIVATE_FILES:
        path = directory / name
        try:
            status = path.stat()
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077 and name != "control.sock":
            yield f"{path} has mode {mode:04o}", f"chmod 600 {path}"
        if status.st_uid != owner:
            yield f"{path} belongs to {_owner(status.st_uid)}", f"chown {_owner(owner)} {path}"
    for name in (CA_FILE, GATEWAY_FILE):
        if is_enrolled(directory) and not (directory / name).exists():
            yield f"{directory / name} is missing", "enroll again"


def check_certificate(circumstances: Circumstances, now: datetime | None = None) -> tuple[Check, Identity | None]:
    """Read the identity, try its key, and look at its dates; without an identity that can be used, None."""
    directory = circumstances.settings.state_dir
    now = now or datetime.now(UTC)
    if not is_enrolled(directory):
        return skipped(
            "certificate", "not enrolled yet: get a code of the gateway's operator, run jira-agent enroll"
        ), None
    try:
        identity = read_identity(directory)
        identity.context()
    except CertsError as error:
        return failed("certificate", error.problem, error.fix), None
    return judge_dates(identity, now), identity


def judge_dates(identity: Identity, now: datetime) -> Check:
    """Say what the dates of the certificate mean at this moment."""
    shown, name = identity.certificate, f"{identity.name}/{identity.instance}"
    life = shown.not_after - shown.not_before
    due, left = shown.not_before + life / 2, shown.not_after - now
    until = f"{name}, valid until {shown.not_after:%Y-%m-%d %H:%M} UTC"
    if now < shown.not_before:
        detail = f"{name} is not valid before {shown.not_before:%Y-%m-%d %H:%M} UTC"
        return failed("certificate", detail, "set this machine's clock")
    if left <= timedelta():
        return failed("certificate", f"{name} ended on {shown.not_after:%Y-%m-%d %H:%M} UTC", "enroll again")
    if left < life * LAST_PART:
        detail = f"{until}, and its renewal is overdue since {due:%Y-%m-%d %H:%M} UTC"
        return failed("certificate", detail, "see jira-agent status for why; enroll again before it ends")
    if now >= due:
        return passed("certificate", f"{until}, renewal due since {due:%Y-%m-%d %H:%M} UTC")
    return passed("certificate", f"{until}, renewal due on {due:%Y-%m-%d %H:%M} UTC")


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
