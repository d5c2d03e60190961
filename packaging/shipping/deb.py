"""A Debian package of one program for one release of Debian, by dpkg-deb alone (docs/decisions/0016-packages.md).

Knows where Debian has things. What a program consists of is in shipping/programs.py.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from shipping import manual, own_code
from shipping.completion import completions
from shipping.env_file import env_file
from shipping.locks import MACHINES, Target
from shipping.programs import PROJECT, Program
from shipping.release import Release
from shipping.tree import File, Link, Tree, compressed, text, write
from shipping.wheels import fetch, name_and_licence, unpacked

# release of Debian -> its python3
DEBIANS = {"12": "3.11", "13": "3.13"}
_TEMPLATES = PROJECT / "packaging" / "deb"
_MAINTAINER_SCRIPTS = ("postinst", "prerm", "postrm")
# Rules of Debian's own archive that a package from elsewhere breaks on purpose.
_OVERRIDES = """\
# All in one folder, as the FHS has it for software that is not Debian's, with its libraries as they were tested.
{name}: dir-or-file-in-opt
{name}: embedded-library *
{name}: unstripped-binary-or-object *
{name}: wrong-path-for-interpreter *
{name}: script-not-executable *
{name}: unusual-interpreter *
# Instances of a template: deb-systemd-invoke does not know patterns.
{name}: maintainer-script-calls-systemctl *
# Settings may hold secrets.
{name}: non-standard-dir-perm *
{name}: non-standard-file-perm *
# No bug of Debian's is closed by a first release elsewhere.
{name}: initial-upload-closes-no-bugs *
"""


def build(program: Program, release: Release, debian: str, arch: str, folder: Path, compression: str = "xz") -> Path:
    """Write ``<name>_<version>-1~deb<release>_<arch>.deb`` into a folder, and return it.

    Raises `WheelsUnavailable`, and `subprocess.CalledProcessError` when dpkg-deb fails.
    """
    target = Target(DEBIANS[debian], MACHINES[arch])
    wheels = fetch(
        program.lock, target, PROJECT / "build" / "wheels" / f"{program.name}-{target.python}-{target.machine}"
    )
    version = f"{release.version}-1~deb{debian}"
    installed = dict(contents(program, release, target, wheels, version))
    package = folder / f"{program.name}_{version}_{arch}.deb"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jira-deb-") as scratch:
        root, half = Path(scratch, "root"), folder / f".{package.name}.half"
        said = control(program, release, version, arch, target, installed)
        write({**installed, **said}, root, release.epoch, {f"etc/{program.name}": 0o750})
        command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(root), str(half)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(release.epoch)}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        half.replace(package)
    return package


def contents(program: Program, release: Release, target: Target, wheels: list[Path], version: str) -> Tree:
    """Return what is installed, by path: the virtual environment, units, settings, manual, completion."""
    document = f"usr/share/doc/{program.name}"
    made: dict[str, File | Link] = {
        **environment(program, release, target, wheels),
        **system_files(program),
        f"etc/{program.name}/{program.env_file}": text(env_file(program), 0o640),
        f"{document}/copyright": text(_copyright(program, release, target, wheels)),
        f"{document}/changelog.gz": compressed((PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")),
        f"{document}/changelog.Debian.gz": compressed(_changelog(program, release, version)),
        f"{document}/operations.md.gz": compressed((PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")),
        f"usr/share/lintian/overrides/{program.name}": text(_OVERRIDES.format(name=program.name)),
    }
    for name, page in manual.pages(program, release.version, release.epoch).items():
        made[f"usr/share/man/man{name[-1]}/{name}.gz"] = compressed(page)
    for path, script in completions(program, "usr/").items():
        made[path] = text(script)
    for command in program.commands:
        made[f"usr/bin/{command}"] = Link(f"/{program.home}/bin/{command}")
    return made


def environment(program: Program, release: Release, target: Target, wheels: list[Path]) -> Tree:
    """Return a virtual environment on the system's python3: no pip in it, none needed to make it."""
    packages = f"{program.home}/lib/python{target.python}/site-packages"
    made: dict[str, File | Link] = {
        f"{program.home}/pyvenv.cfg": text(
            f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {target.python}\n"
        ),
        f"{program.home}/bin/python3": Link("/usr/bin/python3"),
    }
    for command, (module, _) in program.commands.items():
        made[f"{program.home}/bin/{command}"] = own_code.launcher(program, module)
    for path, file in (entry for wheel in wheels for entry in unpacked(wheel)):
        made[f"{packages}/{path}"] = file
    for path, file in own_code.files(program, release).items():
        made[f"{packages}/{path}"] = file
    return made


def system_files(program: Program) -> Tree:
    """Return units, user, state folder and kernel settings, as Debian has them: below usr/lib."""
    name, sources = program.name, PROJECT / "systemd"
    made: dict[str, File | Link] = {
        f"usr/lib/sysctl.d/30-{name}.conf": File((PROJECT / "packaging/etc/sysctl.conf").read_bytes()),
        f"usr/lib/systemd/system/systemd-sysctl.service.d/{name}.conf": File(
            (PROJECT / "packaging/etc/load-bbr.conf").read_bytes()
        ),
    }
    for kind in ("sysusers.d", "tmpfiles.d"):
        made[f"usr/lib/{kind}/{name}.conf"] = File((sources / kind / f"{name}.conf").read_bytes())
    for unit in program.units:
        made[f"usr/lib/systemd/system/{unit}"] = File((sources / unit).read_bytes())
    return made


def control(
    program: Program, release: Release, version: str, arch: str, target: Target, installed: Tree
) -> Mapping[str, File]:
    """Return dpkg's own files: what is said of the package, its settings files, sums, maintainer scripts."""
    files = {path: entry for path, entry in installed.items() if isinstance(entry, File)}
    settings = f"/etc/{program.name}/{program.env_file}\n"
    sums = "".join(
        f"{hashlib.md5(entry.content, usedforsecurity=False).hexdigest()}  {path}\n"
        for path, entry in sorted(files.items())
        if not path.startswith("etc/")
    )
    major, _, minor = target.python.partition(".")
    size = sum(-(-len(entry.content) // 1024) for entry in files.values())
    fields = {
        "Package": program.name,
        "Version": version,
        "Architecture": arch,
        "Maintainer": release.maintainer,
        "Installed-Size": str(size),
        "Depends": f"python3 (>= {target.python}), python3 (<< {major}.{int(minor) + 1}), libc6 (>= 2.28), libgcc-s1, "
        "libstdc++6, systemd (>= 252), passwd",
        "Recommends": "ca-certificates",
        "Section": "net",
        "Priority": "optional",
        "Description": f"{program.summary}\n{_folded(program.description)}",
    }
    made = {
        "DEBIAN/control": text("".join(f"{name}: {value}\n" for name, value in fields.items())),
        "DEBIAN/conffiles": text(settings),
        "DEBIAN/md5sums": text(sums),
    }
    for script in _MAINTAINER_SCRIPTS:
        made[f"DEBIAN/{script}"] = text(_filled(program, (_TEMPLATES / script).read_text(encoding="utf-8")), 0o755)
    return made


def _filled(program: Program, template: str) -> str:
    values = {
        "@NAME@": program.name,
        "@HOME@": f"/{program.home}",
        "@UNIT@": program.started,
        "@UNITS@": " ".join(program.services),
        "@ENV_FILE@": program.env_file,
        "@NEEDS@": program.needs,
    }
    for mark, value in values.items():
        template = template.replace(mark, value)
    return template


def _folded(description: str) -> str:
    words, lines = description.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 76:
            lines.append("")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _changelog(program: Program, release: Release, version: str) -> str:
    when = format_datetime(datetime.fromtimestamp(release.epoch, UTC))
    entry = f"  * Release {release.version}; what changed is in changelog.gz."
    return f"{program.name} ({version}) stable; urgency=medium\n\n{entry}\n\n -- {release.maintainer}  {when}\n"


def _copyright(program: Program, release: Release, target: Target, wheels: list[Path]) -> str:
    rows = "\n".join("  {}  {}  {}".format(*name_and_licence(wheel)) for wheel in wheels)
    return f"""\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: jira-tunnel
Comment: Below /{program.home}/lib/python{target.python}/site-packages are unchanged libraries from the Python
 Package Index under licences of their own; the full texts are in their dist-info folders:
 .
{_indented(rows)}

Files: *
Copyright: {datetime.fromtimestamp(release.epoch, UTC).year} the authors of jira-tunnel
License: Apache-2.0

License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
"""


def _indented(rows: str) -> str:
    return "\n".join(f" {row}" for row in rows.splitlines())
