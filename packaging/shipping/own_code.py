"""Our own code as a distribution: only the files that a program needs, with metadata that names the version.

Not made by setuptools, because the agent gets a part of what pyproject.toml describes; two files of metadata are all
that `importlib.metadata` and pip ask for.
"""

import base64
import hashlib
import io
import zipfile
from datetime import UTC, datetime

from shipping.programs import PROJECT, Program
from shipping.release import Release
from shipping.tree import File, text

WHEEL = "jira_tunnel-{version}-py3-none-any.whl"


def files(program: Program, release: Release) -> dict[str, File]:
    """Return the program's files by their path below site-packages."""
    folder = f"jira_tunnel-{release.version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: jira-tunnel\nVersion: {release.version}\nSummary: {program.summary}\n"
    made = {path: File((PROJECT / path).read_bytes()) for path in program.sources()}
    made[f"{folder}/METADATA"] = text(f"{metadata}License-Expression: Apache-2.0\n")
    made[f"{folder}/licenses/LICENSE"] = File((PROJECT / "LICENSE").read_bytes())
    return made


def wheel(program: Program, release: Release) -> bytes:
    """Return the program's files as a wheel."""
    folder = f"jira_tunnel-{release.version}.dist-info"
    content = files(program, release)
    content[f"{folder}/WHEEL"] = text(
        "Wheel-Version: 1.0\nGenerator: jira-tunnel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(
        f"{path},sha256={_digest(file.content)},{len(file.content)}\n" for path, file in sorted(content.items())
    )
    content[f"{folder}/RECORD"] = text(f"{record}{folder}/RECORD,,\n")
    when = datetime.fromtimestamp(release.epoch, UTC).timetuple()[:6]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, file in sorted(content.items()):
            entry = zipfile.ZipInfo(path, when)
            entry.external_attr = (0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.content)
    return buffer.getvalue()


def launcher(program: Program, module: str) -> File:
    """Return the script behind a command: isolated, so that neither PYTHONPATH nor the working directory gets in."""
    return text(f"#!/{program.home}/bin/python3 -I\nfrom {module} import main\n\nmain()\n", 0o755)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
