"""One run: all systems are started, then measured in interleaved rounds, load by load, and ended."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import answers, broker, measure, ours
from bench.figures import IDLE, LOADED, Figures, Measured
from bench.links import idle_link_kib
from bench.loads import ALL
from bench.machine import machine, versions
from bench.nginx import NginxPair, website
from bench.processes import Others, settle
from bench.sink import sink
from bench.ssh import SshTunnel
from bench.systems import System
from tests.support.stack import Program, Stack

GCM = "aes128-gcm@openssh.com"


@dataclass(frozen=True)
class Extent:
    """How much is measured: `names` of bench.systems; broker and idle link only where they are wanted."""

    names: tuple[str, ...]
    rounds: int
    seconds: float
    idle_link: bool = True


def run(folder: Path, extent: Extent) -> Figures:
    """Measure everything; `folder` is a scratch folder, everything in it is stopped at the end."""
    options = {"rounds": extent.rounds, "seconds": extent.seconds, "systems": list(extent.names)}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    figures = Figures(date, machine(), versions(), options, list(ours.SWITCHED_ON))
    folder.chmod(0o755)  # nginx's worker may be another user
    with ExitStack() as stack:
        web = website(_below(folder, "web"))
        stack.callback(web.program.stop)
        drain, sink_port = sink(folder)
        stack.callback(drain.stop)
        ports = (web.ports[0], sink_port)
        with _started(folder, extent.names, ports) as systems:
            body, others = answers.zeros(folder / "body", answers.BULK_BYTES), Others()
            _measure(figures, systems, extent, body)
            figures.machine["others"] = round(others.share(), 3)
        if "ours" in extent.names and extent.idle_link:
            figures.idle_link_kib = _idle_link(folder / "links")
        if "broker" in extent.names:
            _measure_broker(figures, folder, ports, extent.seconds)
    return figures


@contextmanager
def _started(folder: Path, names: tuple[str, ...], ports: tuple[int, int]) -> Iterator[list[System]]:
    """Start all systems but the broker, which is measured alone."""
    with ExitStack() as stack:
        systems = []
        for name in names:
            if name == "ours":
                _say("starting ours")
                gateway = stack.enter_context(Stack(folder / "ours", f"http://127.0.0.1:{ports[0]}"))
                systems.append(ours.start(gateway, *ports))
            elif name != "broker":
                systems.append(_peer(stack, folder / name, name, ports))
        yield systems


def _peer(stack: ExitStack, folder: Path, name: str, ports: tuple[int, int]) -> System:
    if name == "direct":
        return _system(name, dict(zip(ports, ports, strict=True)), ports, {})
    peer = (
        NginxPair(folder, [*ports])
        if name == "nginx"
        else SshTunnel(folder, [*ports], GCM if name == "ssh-gcm" else None)
    )
    _stop_at_end(stack, peer.programs)
    return _system(name, peer.ports, ports, peer.pids)


def _stop_at_end(stack: ExitStack, programs: Iterable[Program]) -> None:
    for program in programs:
        stack.callback(program.stop)


def _system(name: str, seen: dict[int, int], ports: tuple[int, int], pids: dict[str, list[int]]) -> System:
    base, uploads = (f"http://127.0.0.1:{seen[port]}" for port in ports)
    return System(name, base, uploads, pids)


def _measure(figures: Figures, systems: list[System], extent: Extent, body: Path) -> None:
    for system in systems:
        figures.systems[system.name] = Measured()
    _weigh(figures, systems, IDLE)
    for number in range(1, extent.rounds + 1):
        for plan in ALL:
            _say(f"round {number} of {extent.rounds}: {plan.name}")
            for system in systems:
                if plan in system.loads:
                    load = measure.load(system.request(plan), plan.callers, extent.seconds, system.pids)
                    figures.systems[system.name].loads.setdefault(plan.name, []).append(load)
        _say(f"round {number} of {extent.rounds}: bulk")
        for way in ("download", "upload"):
            for system in systems:
                _carry(figures.systems[system.name], system, way, body)
    _weigh(figures, systems, LOADED)


def _carry(measured: Measured, system: System, way: str, body: Path) -> None:
    """Carry one bulk body."""
    if way == "download":
        speed = measure.download(system.bulk(system.base, answers.BULK))
    else:
        speed = measure.upload(system.bulk(system.uploads, answers.UPLOAD), body)
    measured.bulk.setdefault(way, []).append(round(speed, 1))


def _weigh(figures: Figures, systems: list[System], when: str) -> None:
    for system in systems:
        if system.pids:
            memory = {program: round(settle(pids, 0.3), 1) for program, pids in system.pids.items()}
            figures.systems[system.name].rss_mib[when] = memory


def _idle_link(folder: Path) -> float:
    """Return the KiB of an idle link at a fresh gateway: one that has worked has memory to spare, and hides it."""
    _say("idle links")
    with Stack(folder, "http://127.0.0.1:9") as stack:
        stack.start_gateway()
        stack.enroll("links")
        return round(idle_link_kib(stack), 1)


def _measure_broker(figures: Figures, folder: Path, ports: tuple[int, int], seconds: float) -> None:
    """Measure the rival, one round only; where it cannot be, the figures say why."""
    try:
        _say(f"fetching and starting {broker.PACKAGE}")
        installed = broker.fetch()
        rival = broker.Broker(installed, folder / "broker", *ports)
    except broker.Unavailable as reason:
        figures.absent["broker"] = str(reason)
        return
    figures.versions[broker.PACKAGE] = broker.version(installed)
    with ExitStack() as stack:
        _stop_at_end(stack, rival.programs)
        system = System("broker", rival.base, rival.base, rival.pids, ca=rival.ca)
        body = answers.zeros(folder / "small-body", broker.UPLOAD_BYTES)
        _measure(figures, [system], Extent((system.name,), 1, seconds), body)


def _below(folder: Path, name: str) -> Path:
    below = folder / name
    below.mkdir()
    return below


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
