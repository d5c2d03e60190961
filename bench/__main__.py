"""`python -m bench`: the tunnel beside its peers in one run, as Markdown on standard output and as JSON.

All systems reach the same nginx: direct, nginx -> nginx over mutual TLS, ssh -R, ssh -R with aes128-gcm, jira-tunnel
with everything on that an installation has, and where npm is present Snyk Broker over TLS. Rounds are interleaved load
by load, so that what else the machine does hits every system alike; medians count. Absolute figures move with the
machine: compare ratios within one run, and CPU per request.

  make bench                          the whole table, in about five minutes
  make bench ACCEPT=1                 and make this run the one that bench-check compares with
  make bench-check                    measure anew; status 1 when a ratio got worse by more than 20 % beyond the noise
  python -m bench --quick             a first impression in about one minute
  python -m bench --only ours,ssh     some systems only: direct, nginx, ssh, ssh-gcm, ours, broker
  python -m bench --read FILE         the tables (or --accept, --check) of an earlier run's JSON

Needs nginx-light, wrk and curl; openssh-server and openssh-client for ssh -R; npm for Snyk Broker.
Exit status: 0, 1 regression, 2 wrong options, 69 a tool or the accepted run is missing.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import accepted, report
from bench.accepted import Outcome
from bench.figures import Figures, read
from bench.place import tool
from bench.run import Extent, run
from bench.systems import COMPARED, NAMES

NEEDED = {"nginx": "nginx-light", "wrk": "wrk", "curl": "curl"}
FOR_SSH = {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}
LAST = Path("bench/results/last.json")
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


def main() -> int:
    """Run the benchmark."""
    options = _options()
    missing = [] if options.read else _missing(NEEDED)
    if missing:
        print(f"bench needs {_apt(missing)}", file=sys.stderr)
        return UNAVAILABLE
    try:
        before = accepted.read(accepted.FILE) if options.check else None
        figures = read(options.read) if options.read else None
    except FileNotFoundError as error:
        what = "no run has been accepted yet: `make bench ACCEPT=1` makes one"
        print(what if error.filename == str(accepted.FILE) else f"there is no {error.filename}", file=sys.stderr)
        return UNAVAILABLE
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return _conclude(figures or _measure(options), options, before)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=2, metavar="S", help="length of each load (2)")
    parser.add_argument("--only", type=_names, default=NAMES, metavar="NAME,…", help="some systems (all)")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s, no broker, no idle links")
    parser.add_argument("--json", type=Path, default=LAST, metavar="FILE", help=f"where figures go ({LAST})")
    parser.add_argument("--read", type=Path, metavar="FILE", help="take the figures from this JSON, measure nothing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--accept", action="store_true", help=f"write the ratios to bench/{accepted.FILE.name}")
    what.add_argument("--check", action="store_true", help="compare with the accepted ratios; 1 on a regression")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    problem = _problem(options)
    if problem:
        parser.error(problem)
    return options


def _problem(options: argparse.Namespace) -> str | None:
    """Tell what makes these options wrong."""
    if options.rounds < 1 or options.seconds < 1:
        return "--rounds and --seconds begin at 1"
    wants = "--accept" if options.accept else "--check" if options.check else None
    if wants is None or options.read:
        return None
    if options.rounds < accepted.FEWEST_ROUNDS:
        return f"{wants} needs {accepted.FEWEST_ROUNDS} rounds or more, to tell the noise"
    if options.accept and COMPARED - set(options.only):
        return "--accept needs all systems that are compared: leave --only out"
    return None


def _names(text: str) -> tuple[str, ...]:
    asked = text.split(",")
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in asked)


def _missing(tools: dict[str, str]) -> list[str]:
    """Return the packages of tools that are not there."""
    return sorted({package for name, package in tools.items() if not tool(name)})


def _apt(packages: list[str]) -> str:
    return f"{' and '.join(packages)}: apt-get install --no-install-recommends {' '.join(packages)}"


def _measure(options: argparse.Namespace) -> Figures:
    without_rival = options.quick or options.check  # no ratio that is compared is with the rival
    no_ssh = _missing(FOR_SSH)
    absent = {name: f"needs {_apt(no_ssh)}" for name in ("ssh", "ssh-gcm") if no_ssh and name in options.only}
    left_out = {*absent, *(["broker"] if without_rival else [])}
    names = tuple(name for name in options.only if name not in left_out)
    extent = Extent(names, options.rounds, options.seconds, idle_link=not options.quick)
    with tempfile.TemporaryDirectory(prefix="jira-tunnel-bench-") as folder:
        figures = run(Path(folder), extent)
    figures.absent |= absent
    figures.write(options.json)
    return figures


def _conclude(figures: Figures, options: argparse.Namespace, before: dict[str, Any] | None) -> int:
    """Print what was found; accept it or compare it where that is asked for. Returns the exit status."""
    print(report.report(figures), flush=True)
    unfit = accepted.unfit(figures, to_be_accepted=options.accept) if options.accept or before else None
    if unfit:
        print(f"this run cannot be {'accepted' if options.accept else 'compared'}: {unfit}", file=sys.stderr)
        return 2
    if options.accept:
        accepted.accept(figures, accepted.FILE)
        print(f"{accepted.FILE.name} is written: commit it", file=sys.stderr)
    return _compare(figures, before) if before else 0


def _compare(figures: Figures, before: dict[str, Any]) -> int:
    compared = accepted.compare(before["marks"], accepted.rounds_of(figures))
    print(f"\n{report.beside(before, figures)}\n\n{report.comparison(compared)}")
    print("\n" + "\n".join(report.findings(compared)))
    regressed = sum(one.outcome is Outcome.REGRESSED for one in compared)
    print(f"{regressed or 'no'} regression{'s' if regressed > 1 else ''} in {len(compared)} marks")
    return int(regressed > 0)


if __name__ == "__main__":
    sys.exit(main())
