"""`python -m bench.wan`: the tunnel across an emulated WAN, beside direct, nginx -> nginx over mTLS, and `ssh -R`.

The gateway and its callers are in one network namespace, the agent and its upstream in another, the emulator
(wanemu.c) is between them. Rounds are interleaved and medians count. Prints Markdown, writes JSON.
Needs root, /dev/net/tun, iproute2, a C compiler, nginx, wrk, curl and OpenSSH
(Debian: iproute2 gcc libc6-dev nginx-light wrk curl openssh-server openssh-client).
"""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.place import tool
from bench.wan import loads
from bench.wan.goals import Report
from bench.wan.network import congestion_controls, why_not
from bench.wan.plan import LOSS, PLANS, Plan, measure
from bench.wan.site import OURS, SYSTEMS, Site, site
from bench.wan.tables import describe, render
from bench.wan.watch import LinkWatch

EX_UNAVAILABLE = 69
NEEDED = {"nginx": "nginx-light", "wrk": "wrk", "curl": "curl", "sshd": "openssh-server", "ssh": "openssh-client"}


def main() -> int:
    """Run the benchmark; returns the exit status."""
    options = _options()
    missing = [package for name, package in NEEDED.items() if tool(name) is None]
    reason = why_not() or (f"apt-get install --no-install-recommends {' '.join(missing)}" if missing else None)
    if reason:
        print(f"bench-wan cannot run here: {reason}", file=sys.stderr)
        return EX_UNAVAILABLE
    with tempfile.TemporaryDirectory(prefix="jira-tunnel-wan-") as name:
        Path(name).chmod(0o755)
        report = _run(Path(name), options)
    print(render(report))
    for plan in _unavailable(options.line):
        print(f"\nNot measured: {describe(plan)}. This kernel has only {', '.join(sorted(congestion_controls()))}.")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"lines": report.lines, "links": report.links}, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    names = [plan.name for plan in PLANS]
    lines = "\n".join(f"  {describe(plan)}" for plan in PLANS)
    parser = argparse.ArgumentParser(
        prog="python -m bench.wan",
        description=__doc__,
        epilog=f"lines:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=2, help="interleaved rounds (2)")
    parser.add_argument("--line", action="append", choices=names, help="only this line; may be given again")
    parser.add_argument("--only", action="append", choices=SYSTEMS, help="only this system; may be given again")
    parser.add_argument("--json", type=Path, default=Path("bench/results/wan.json"), help="where the figures go")
    options = parser.parse_args()
    options.line = options.line or names
    options.only = options.only or list(SYSTEMS)
    return options


def _unavailable(names: list[str]) -> list[Plan]:
    has = congestion_controls()
    return [plan for plan in PLANS if plan.name in names and plan.line.congestion not in has]


def _run(folder: Path, options: argparse.Namespace) -> Report:
    lines: dict[str, Any] = {}
    watch = None
    absent = _unavailable(options.line)
    with ExitStack() as stack:
        for plan in PLANS:
            if plan.name not in options.line or plan in absent:
                continue
            print(describe(plan), file=sys.stderr)
            names = tuple(name for name in plan.systems if name in options.only)
            around = site(folder / plan.name, plan.line, names)
            if plan.name == LOSS and OURS in names:
                # Stays up beside the others: it is quiet from then on, and its links are counted.
                running = stack.enter_context(around)
                watch = LinkWatch(running)
                watch.start()
                lines[plan.name] = _rounds(running, plan, options.rounds, folder)
                watch.begin_quiet()
            else:
                with around as running:
                    lines[plan.name] = _rounds(running, plan, options.rounds, folder)
        links = watch.finish() if watch is not None else None
    return Report(lines, links)


def _rounds(running: Site, plan: Plan, rounds: int, folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    found: dict[str, dict[str, list[dict[str, Any]]]] = {
        name: {load: [] for load in plan.loads} for name in running.systems
    }
    if plan.settle and OURS in running.systems:
        loads.many(running, running.systems[OURS], 64, plan.settle)
    for number in range(rounds):
        for name, system in running.systems.items():
            print(f"  round {number + 1}: {name}", file=sys.stderr)
            for load in plan.loads:
                found[name][load].append(measure(running, system, load, plan.seconds, folder))
    return found


if __name__ == "__main__":
    sys.exit(main())
