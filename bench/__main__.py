"""`python -m bench`: requests/s, latency, CPU and memory beside `ssh -R`, as a Markdown table and JSON.

Needs nginx, wrk, curl and OpenSSH (Debian: nginx-light wrk curl openssh-server). Rounds are interleaved, so
that a noisy machine hits every system alike; medians count, and the spread of `direct` is the noise.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench import answers, measure
from bench.answers import BULK_BYTES
from bench.links import idle_link_kib
from bench.nginx import NginxPair, website
from bench.processes import settle
from bench.sink import sink
from bench.ssh import SshTunnel
from tests.support.stack import Program, Stack, wait_until

NEEDED = {"nginx": "nginx-light", "wrk": "wrk", "curl": "curl", "sshd": "openssh-server", "ssh": "openssh-client"}
CALLERS = (1, 16, 128)
PEERS = ("nginx", "ssh -R", "ssh -R aes128-gcm")


class System:
    """One way to reach the upstream: where small and bulk answers are, what to send along, whose CPU counts."""

    def __init__(self, name: str, small: str, upload: str, headers: list[str], pids: dict[str, list[int]]) -> None:
        self.name = name
        self.small = measure.Request(small, tuple(headers))
        self.bulk = measure.Request(small.replace(answers.SMALL, answers.BULK), tuple(headers))
        self.upload = measure.Request(upload, tuple(headers))
        self.pids = pids
        self.loads: dict[int, list[measure.Load]] = {callers: [] for callers in CALLERS}
        self.down: list[float] = []
        self.up: list[float] = []


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=4, help="length of each load (4)")
    parser.add_argument("--json", type=Path, default=Path("bench/results/last.json"), help="where the figures go")
    options = parser.parse_args()
    missing = [package for tool, package in NEEDED.items() if not _which(tool)]
    if missing:
        print(
            f"bench needs {' '.join(missing)}: apt-get install --no-install-recommends {' '.join(missing)}",
            file=sys.stderr,
        )
        return 69
    with tempfile.TemporaryDirectory(prefix="jira-tunnel-bench-") as name:
        return _bench(Path(name), options)


def _which(tool: str) -> bool:
    return bool(shutil.which(tool) or Path(f"/usr/sbin/{tool}").exists())


def _bench(folder: Path, options: argparse.Namespace) -> int:
    programs: list[Program] = []
    folder.chmod(0o755)
    (folder / "web").mkdir()
    try:
        web = website(folder / "web")
        web_port = web.ports[0]
        programs.append(web.program)
        drain, sink_port = sink(folder)
        programs.append(drain)
        ssh = SshTunnel(folder / "ssh", [web_port, sink_port])
        fast = SshTunnel(folder / "ssh-gcm", [web_port, sink_port], "aes128-gcm@openssh.com")
        pair = NginxPair(folder / "pair", [web_port, sink_port])
        programs += [*ssh.programs, *fast.programs, *pair.programs]
        with Stack(folder / "ours", f"http://127.0.0.1:{web_port}") as stack:
            systems, idle = _systems(stack, web_port, sink_port, [pair, ssh, fast])
            body = folder / "body"
            with body.open("wb") as file:
                file.truncate(BULK_BYTES)
            for number in range(options.rounds):
                for system in systems:
                    print(f"round {number + 1}: {system.name}", file=sys.stderr)
                    _round(system, options.seconds, body)
            loaded = {name: settle(ids) for name, ids in systems[-1].pids.items()}
            link = idle_link_kib(stack)
    finally:
        for program in programs:
            program.stop()
    report = _report(systems, {"idle": idle, "after load": loaded}, link)
    print(report)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(_figures(systems, idle, loaded, link), indent=1))
    return 0


def _systems(
    stack: Stack, web_port: int, sink_port: int, peers: list[NginxPair | SshTunnel]
) -> tuple[list[System], dict[str, float]]:
    stack.start_gateway()
    agents = []
    for name, port in (("web", web_port), ("sink", sink_port)):
        agents.append(stack.enroll(name, JIRA_AGENT_JIRA_URL=f"http://127.0.0.1:{port}").start_and_wait())
        stack.must("connections", "add", name, "--via", name, "--credentials", "caller")
    token = stack.token("bench", "web", "sink")
    headers = [f"Tunnel-Authorization: Bearer {token}"]
    wait_until(lambda: len(stack.links()) == 2, "both agents are connected")
    pids = {"gateway": [stack.gateway.pid], "agent": [agents[0].pid]}
    idle = {name: settle(ids) for name, ids in pids.items()}

    def at(name: str, web: int, drain: int, processes: dict[str, list[int]]) -> System:
        return System(
            name, f"http://127.0.0.1:{web}{answers.SMALL}", f"http://127.0.0.1:{drain}{answers.UPLOAD}", [], processes
        )

    systems = [
        at("direct", web_port, sink_port, {}),
        *(
            at(name, peer.ports[web_port], peer.ports[sink_port], peer.pids)
            for name, peer in zip(PEERS, peers, strict=True)
        ),
        System(
            "jira-tunnel",
            f"{stack.url}/jira/web{answers.SMALL}",
            f"{stack.url}/jira/sink{answers.UPLOAD}",
            headers,
            pids,
        ),
    ]
    return systems, idle


def _round(system: System, seconds: float, body: Path) -> None:
    for callers in CALLERS:
        system.loads[callers].append(measure.load(system.small, callers, seconds, system.pids))
    system.down.append(measure.download(system.bulk))
    system.up.append(measure.upload(system.upload, body))


def _median(loads: list[measure.Load], figure: str) -> float:
    return median(getattr(load, figure) for load in loads)


def _cpu(loads: list[measure.Load]) -> dict[str, float]:
    return {name: median(load.cpu[name] for load in loads) for name in loads[0].cpu}


def _report(systems: list[System], memory: dict[str, dict[str, float]], link: float) -> str:
    lines = [
        "| system | callers | req/s | x ssh -R | p50 ms | p99 ms | CPU us/request | errors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for callers in CALLERS:
        base = _median(systems[2].loads[callers], "requests_per_second")
        for system in systems:
            loads = system.loads[callers]
            rate = _median(loads, "requests_per_second")
            cpu = _cpu(loads)
            shown = " + ".join(f"{name} {value:.0f}" for name, value in cpu.items())
            total = f" = {sum(cpu.values()):.0f}" if cpu else ""
            errors = sum(load.errors for load in loads)
            p50, p99 = _median(loads, "p50"), _median(loads, "p99")
            figures = f"{rate:,.0f} | {rate / base:.2f} | {p50:.2f} | {p99:.2f} | {shown}{total} | {errors}"
            lines.append(f"| {system.name} | {callers} | {figures} |")
    lines += ["", "| system | download MB/s | upload MB/s |", "|---|---|---|"]
    lines += [f"| {system.name} | {median(system.down):.0f} | {median(system.up):.0f} |" for system in systems]
    lines += ["", "| memory | gateway MiB | agent MiB |", "|---|---|---|"]
    lines += [f"| {when} | {rss['gateway']:.1f} | {rss['agent']:.1f} |" for when, rss in memory.items()]
    rates = [load.requests_per_second for load in systems[0].loads[CALLERS[-1]]]
    noise = (max(rates) - min(rates)) / median(rates) * 100
    lines += ["", f"Idle agent link at the gateway: {link:.0f} KiB. Spread of direct over the rounds: {noise:.0f} %."]
    return "\n".join(lines)


def _figures(systems: list[System], idle: dict[str, float], loaded: dict[str, float], link: float) -> dict[str, object]:
    return {
        "systems": {
            system.name: {
                "loads": {callers: [asdict(load) for load in loads] for callers, loads in system.loads.items()},
                "download": system.down,
                "upload": system.up,
            }
            for system in systems
        },
        "rss_mib": {"idle": idle, "after_load": loaded},
        "idle_link_kib": link,
    }


if __name__ == "__main__":
    sys.exit(main())
