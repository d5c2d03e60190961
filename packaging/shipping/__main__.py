"""``python -m shipping``: builds what the command line asks for, and prints the files that came of it."""

import argparse
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from shipping import bundle, deb
from shipping.locks import MACHINES
from shipping.programs import PROGRAMS, PROJECT, Program
from shipping.release import Release, read_release
from shipping.wheels import WheelsUnavailable

_DIST = PROJECT / "dist"


def main() -> int:
    """Build, and return the exit status."""
    wanted = _arguments()
    release = read_release(wanted.version)
    try:
        for program in PROGRAMS:
            if program.name not in wanted.only:
                continue
            for made in _build(program, release, wanted):
                sys.stdout.write(f"{made}\n")
                sys.stdout.flush()
    except WheelsUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _build(program: Program, release: Release, wanted: argparse.Namespace) -> Iterator[Path]:
    if wanted.kind == "bundle":
        yield bundle.build(program, release, MACHINES[wanted.arch], wanted.into)
        return
    for debian in wanted.debian:
        yield deb.build(program, release, debian, wanted.arch, wanted.into, wanted.compression)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shipping")
    parser.add_argument("kind", choices=["deb", "bundle"])
    parser.add_argument("--only", nargs="+", default=[program.name for program in PROGRAMS], metavar="PROGRAM")
    parser.add_argument("--debian", nargs="+", default=list(deb.DEBIANS), choices=list(deb.DEBIANS), metavar="RELEASE")
    parser.add_argument("--arch", default=None, choices=list(MACHINES))
    parser.add_argument("--into", type=Path, default=_DIST, metavar="FOLDER")
    parser.add_argument("--version", help="another version than that of pyproject.toml, to try an upgrade")
    parser.add_argument("--compression", default="xz", help="as dpkg-deb -Z has it; none is quick")
    arguments = parser.parse_args()
    arguments.arch = arguments.arch or _this_machine()
    return arguments


def _this_machine() -> str:
    names = {name: debian for debian, name in MACHINES.items()}
    return names.get(platform.machine(), "amd64")


if __name__ == "__main__":
    sys.exit(main())
