"""An offline bundle of one program for any Linux with systemd: wheels for three Pythons, and a script to install them.

The script is packaging/bundle/install.sh; it runs without a package index, and verifies every file first.
"""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from shipping import manual, own_code
from shipping.completion import completions
from shipping.env_file import env_file
from shipping.locks import Target, requirements_for
from shipping.programs import PROJECT, Program
from shipping.release import Release
from shipping.tree import File, text
from shipping.wheels import fetch

PYTHONS = ("3.11", "3.12", "3.13")
_INSTALLER_LOCK = PROJECT / "requirements" / "installer.lock"


def build(program: Program, release: Release, machine: str, folder: Path) -> Path:
    """Write ``<name>-<version>-linux-<machine>.tar.gz`` into a folder, and return it. Raises `WheelsUnavailable`."""
    top = f"{program.name}-{release.version}-linux-{machine}"
    files = contents(program, release, machine)
    sums = "".join(f"{hashlib.sha256(file.content).hexdigest()}  {path}\n" for path, file in sorted(files.items()))
    files["SHA256SUMS"] = text(sums)
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / f"{top}.tar.gz"
    bundle.write_bytes(gzip.compress(_tar(top, files, release.epoch), 6, mtime=0))
    return bundle


def contents(program: Program, release: Release, machine: str) -> dict[str, File]:
    """Return the bundle's files but for the sums of them."""
    wheel = own_code.wheel(program, release)
    own = f"jira-tunnel=={release.version} \\\n    --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
    made = {
        "install.sh": text(script(program, machine), 0o755),
        "LICENSE": File((PROJECT / "LICENSE").read_bytes()),
        "operations.md": File((PROJECT / "docs" / "operations.md").read_bytes()),
        f"wheels/{own_code.WHEEL.format(version=release.version)}": File(wheel),
        f"files/{program.env_file}": text(env_file(program), 0o640),
        **_system_files(program, release),
    }
    for command, (module, _) in program.commands.items():
        made[f"files/bin/{command}"] = own_code.launcher(program, module)
    for python in PYTHONS:
        target = Target(python, machine)
        made[f"requirements-{python}.txt"] = text(
            requirements_for(program.lock.read_text(encoding="utf-8"), target) + own
        )
        for path in fetch(program.lock, target, _cache(f"{program.name}-{python}-{machine}")):
            made[f"wheels/{path.name}"] = File(path.read_bytes())
    for path in fetch(_INSTALLER_LOCK, Target(PYTHONS[0], machine), _cache("installer")):
        made[f"installer/{path.name}"] = File(path.read_bytes())
    return made


def _system_files(program: Program, release: Release) -> dict[str, File]:
    name, system = program.name, "files/system/etc/systemd/system"
    made = {
        "files/system/etc/sysctl.d/30-" + name + ".conf": File((PROJECT / "packaging/etc/sysctl.conf").read_bytes()),
        f"{system}/systemd-sysctl.service.d/{name}.conf": File((PROJECT / "packaging/etc/load-bbr.conf").read_bytes()),
    }
    for unit in program.units:
        made[f"{system}/{unit}"] = File((PROJECT / "systemd" / unit).read_bytes())
    for page, content in manual.pages(program, release.version, release.epoch).items():
        made[f"files/system/usr/local/share/man/man{page[-1]}/{page}"] = text(content)
    for path, script in completions(program, "usr/local/").items():
        made[f"files/system/{path}"] = text(script)
    return made


def script(program: Program, machine: str) -> str:
    """Return the script that installs the program."""
    template = (PROJECT / "packaging" / "bundle" / "install.sh").read_text(encoding="utf-8")
    values = {
        "@NAME@": program.name,
        "@MACHINE@": machine,
        "@COMMANDS@": " ".join(program.commands),
        "@UNITS@": " ".join(program.services),
        "@UNIT@": program.started,
        "@ENV_FILE@": program.env_file,
        "@NEEDS@": program.needs,
    }
    for mark, value in values.items():
        template = template.replace(mark, value)
    return template


def _tar(top: str, files: dict[str, File], epoch: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, epoch
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def _cache(name: str) -> Path:
    return PROJECT / "build" / "wheels" / name
