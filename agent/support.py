"""What goes into a support bundle: what this machine, its settings and its agent say, as named texts.

Each part is gathered by itself: whatever fails leaves its reason in the place of the part. Nothing is changed. Secrets
are taken out of every part before it is packed (agent.redaction).
"""

import http.client
import io
import json
import os
import platform
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from shutil import disk_usage, which
from stat import filemode
from typing import Any, Final

from pydantic import SecretStr

from agent.audit_check import newest, verify
from agent.audit_log import AUDIT_FOLDER
from agent.redaction import STARS, redacted
from agent.rules import load_policy
from agent.settings import AgentSettings
from runtime.version import release

LOG_LINES: Final = 2000
AUDIT_ENTRIES: Final = 1000
MAX_PART_BYTES: Final = 8 << 20
TOOL_SECONDS: Final = 10.0
PAGE_SECONDS: Final = 5.0
UNIT: Final = "jira-agent"

Part = Callable[[], str]


def parts_of_machine() -> dict[str, Part]:
    """Return what is known without settings; the log first, while we may still be root."""
    return {
        "log.txt": _log,
        "unit.txt": lambda: _tool("systemctl", "status", "--no-pager", "--full", "--lines=0", UNIT),
        "versions.txt": _versions,
        "machine.txt": _machine,
    }


def parts_of_agent(settings: AgentSettings, running: Mapping[str, Any] | None, *, with_audit: bool) -> dict[str, Part]:
    """Return what settings and state directory tell; `running` is the status page of the agent, None without one."""
    audit = settings.state_dir / AUDIT_FOLDER
    parts: dict[str, Part] = {
        "settings.txt": lambda: _settings(settings),
        "status.json": lambda: _json(running) if running is not None else "no agent runs on this state directory\n",
        "metrics.txt": lambda: _metrics(settings),
        "policy.json": lambda: _policy(settings),
        "state-directory.txt": lambda: _files(settings.state_dir),
    }
    if with_audit:
        parts |= {
            "audit.json": lambda: _json(newest(audit, AUDIT_ENTRIES)),
            "audit-verify.txt": lambda: _audit(audit),
        }
    return parts


def gather(parts: Mapping[str, Part], secrets: Iterable[str]) -> dict[str, str]:
    """Return every part's text, or why there is none, without secrets and of bounded length."""
    texts = {}
    for name, part in parts.items():
        try:
            text = part()
        except Exception as error:  # noqa: BLE001 - a bundle is for machines on which something is wrong
            text = f"could not be gathered: {type(error).__name__}: {error}\n"
        texts[name] = redacted(text[-MAX_PART_BYTES:], secrets)
    return texts


def packed(texts: Mapping[str, str], folder: str, at: float) -> bytes:
    """Return a tar.gz of the texts below one folder; `at` is seconds since 1970."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, text in texts.items():
            content = text.encode("utf-8", "backslashreplace")
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(at)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, default=str) + "\n"


def _settings(settings: AgentSettings) -> str:
    lines = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            source = settings.secret_files.get(name)
            value = STARS if source is None else f"{STARS} (from {source})"
        elif isinstance(value, tuple):
            value = ",".join(map(str, value))
        is_default = name not in settings.model_fields_set
        lines.append(f"{settings.prefix}{name.upper()}={'' if value is None else value}{' # default' * is_default}")
    return "\n".join(lines) + "\n"


def _policy(settings: AgentSettings) -> str:
    policy = load_policy(settings)
    return _json({"source": policy.source, "sha256": policy.digest(), "rules": policy.describe()})


def _metrics(settings: AgentSettings) -> str:
    listen = settings.admin_listen
    connection = http.client.HTTPConnection(listen.host, listen.port, timeout=PAGE_SECONDS)  # never through a proxy
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(MAX_PART_BYTES).decode("utf-8", "replace")
    finally:
        connection.close()


def _audit(directory: Path) -> str:
    report = verify(directory)
    verdict = "broken" if report.problems else "ok"
    return "\n".join([f"{verdict} {report.first} to {report.head}", *report.problems, *report.notes]) + "\n"


def _log() -> str:
    return _tool("journalctl", "--unit", UNIT, "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso")


def _tool(program: str, *arguments: str) -> str:
    """Return what a tool of the system prints."""
    path = which(program)
    if path is None:
        return f"{program} is not there\n"
    done = subprocess.run(  # noqa: S603 - a tool of the system with our own words
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TOOL_SECONDS,
        check=False,
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def _versions() -> str:
    installed = sorted(f"{found.name} {found.version}" for found in distributions())
    lines = [
        f"jira-agent {release()}",
        f"Python {sys.version}",
        ssl.OPENSSL_VERSION,
        platform.platform(),
        "",
        *installed,
    ]
    return "\n".join(lines) + "\n"


def _machine() -> str:
    lines = [f"uid {os.geteuid()}", f"load {os.getloadavg()}", f"cpus {os.cpu_count()}"]
    for path, count in (("/etc/os-release", 30), ("/proc/meminfo", 3), ("/proc/uptime", 1), ("/proc/self/limits", 20)):
        lines += ["", f"# {path}"]
        try:
            lines += Path(path).read_text(encoding="utf-8").splitlines()[:count]
        except OSError as error:
            lines.append(str(error))
    return "\n".join(lines) + "\n"


def _files(directory: Path) -> str:
    """Return names, modes, owners and sizes of what is in the state directory; no content."""
    usage = disk_usage(directory)
    lines = [f"{directory}: {usage.free} of {usage.total} bytes of its disk are free"]
    for path in [directory, *sorted(directory.rglob("*"))]:
        found = path.lstat()
        lines.append(f"{filemode(found.st_mode)} {found.st_uid}:{found.st_gid} {found.st_size} {path}")
    return "\n".join(lines) + "\n"
