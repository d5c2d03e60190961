"""Thousands of agents in a few processes: each with a name, a certificate and a supervisor of its own, without a Jira.

    with Crowd(folder, stack, count=2000) as crowd:     # opened at no more than PER_SECOND
        wait_until(lambda: crowd.up == 2000, "all are there", 60)

The gateway has them on record as if they had been enrolled. The real dialling, waiting, links and canaries of agents run
in child processes, so that what they cost is not taken for the gateway's. `python -m tests.support.crowd` is one child.
"""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Self

import structlog
import uvloop

from agent.addresses import GatewayAddress
from agent.dialer import Dialer, ProxyRoute
from agent.identity import CA_FILE, GATEWAY_FILE, IDENTITY_FILE, read_identity
from agent.links import LinkCount
from agent.supervisor import Supervisor
from certs.ca import Authority, sign_agent
from certs.ca_directory import CaDirectory
from certs.certificates import serial_hex, to_pem
from certs.csr import make_csr
from certs.identity import AgentIdentity
from certs.keys import key_to_pem, make_key
from gateway.sealing import load_secret_key
from gateway.store import Instance, Invite, open_store
from tests.support.fleet import accept
from tests.support.stack import PROJECT, Stack, page, wait_until
from tunnel.budget import Budget
from tunnel.link import Link
from tunnel.session import Role, Session

PER_SECOND = 90  # the gateway opens 100
REPORT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Report:
    """What a child says of its agents, four times a second."""

    up: int = 0
    opened: int = 0
    failures: int = 0


class Crowd:
    """`count` agents named a0, a1, … (by `prefix`) with one link each, in `processes` children."""

    def __init__(self, folder: Path, stack: Stack, count: int, processes: int = 2, prefix: str = "a") -> None:
        """Sign the certificates and put the agents on record; takes some seconds for thousands."""
        self._folder = folder
        self._count = count
        enroll_all(folder, stack, [f"{prefix}{number}" for number in range(count)])
        known = f'jira_gateway_agent_links{{agent="{prefix}{count - 1}"}}'.encode()
        wait_until(lambda: known in page(stack.admin_port, "/metrics")[1], "the gateway has read who was put on record")
        bounds = [count * number // processes for number in range(processes + 1)]
        self._children = [_Child(folder, *span, PER_SECOND / processes) for span in pairwise(bounds)]

    def __enter__(self) -> Self:
        """Start dialling."""
        for child in self._children:
            child.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """End the children."""
        for child in self._children:
            child.stop()

    @property
    def up(self) -> int:
        """How many have a link that takes requests."""
        return sum(child.report.up for child in self._children)

    @property
    def opened(self) -> int:
        """Links that were opened so far."""
        return sum(child.report.opened for child in self._children)

    def wait(self, seconds: float | None = None) -> Self:
        """Wait until all are there."""
        wait_until(lambda: self.up == self._count, f"{self._count} agents", seconds or 30 + self._count / PER_SECOND)
        return self


class _Child:
    def __init__(self, folder: Path, begin: int, end: int, per_second: float) -> None:
        self._command = [
            sys.executable,
            "-m",
            "tests.support.crowd",
            str(folder),
            f"{begin}",
            f"{end}",
            f"{per_second}",
        ]
        self._process: subprocess.Popen[str] | None = None
        self.report = Report()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._listener.join(10)
            self.report = Report()

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may be cut
                    self.report = Report(**json.loads(line))


# The gateway's side


def enroll_all(folder: Path, stack: Stack, names: list[str]) -> None:
    """Give every agent a certificate in a folder of its own, and the gateway a record of it."""
    authority = CaDirectory(stack.folder / "gateway" / "ca").authority()
    address = GatewayAddress("127.0.0.1", stack.tunnel_port)
    folder.mkdir(mode=0o700)
    instances = [_certify(folder / str(number), name, authority, address) for number, name in enumerate(names)]
    asyncio.run(_record(stack.folder / "gateway", instances))


def _certify(directory: Path, name: str, authority: Authority, address: GatewayAddress) -> Instance:
    """Write what `agent.identity.store_identity` writes, without a sync for each of thousands."""
    key, now = make_key(), datetime.now(UTC)
    certificate = sign_agent(authority, make_csr(key), AgentIdentity(name, "only"), now)
    directory.mkdir(mode=0o700)
    for file, content in (
        (CA_FILE, authority.pem),
        (GATEWAY_FILE, f"{address}\n".encode()),
        (IDENTITY_FILE, key_to_pem(key) + to_pem([certificate])),
    ):
        (directory / file).touch(0o600)
        (directory / file).write_bytes(content)
    serial, expires_at = serial_hex(certificate.serial_number), certificate.not_valid_after_utc
    return Instance(name, "only", serial, now, expires_at)


async def _record(state: Path, instances: list[Instance]) -> None:
    now = datetime.now(UTC)
    key = load_secret_key(state, None)
    async with open_store(state / "gateway.db", key, now) as store, store.change("test", now) as change:
        for instance in instances:
            await change.add_invite(Invite(instance.agent, instance.agent, now, instance.expires_at))
            await change.use_invite(instance.agent)
            await change.add_instance(instance)


# A child


async def _run(folder: Path, numbers: range, per_second: float) -> None:
    dialer, budget, began = Dialer(ProxyRoute(lambda _: None), "crowd"), Budget(), monotonic()
    supervisors: list[Supervisor] = []

    def make_link(websocket):
        return Link(websocket, Session(Role.AGENT, budget=budget, clock=monotonic), accept)

    async def report() -> None:
        while True:
            up = sum(supervisor.up > 0 for supervisor in supervisors)
            opened = sum(supervisor.opened for supervisor in supervisors)
            failures = sum(sum(supervisor.failures.values()) for supervisor in supervisors)
            sys.stdout.write(json.dumps({"up": up, "opened": opened, "failures": failures}) + "\n")
            sys.stdout.flush()
            await asyncio.sleep(REPORT_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(report())
        for number in numbers:
            identity = read_identity(folder / str(number))
            supervisor = Supervisor(LinkCount(1, 1), dialer, make_link, lambda identity=identity: identity, ())
            supervisors.append(supervisor)
            tasks.create_task(supervisor.run())
            await asyncio.sleep(max(0.0, began + len(supervisors) / per_second - monotonic()))


def main() -> None:
    """Run one child until its parent kills it, or is gone."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder, begin, end, per_second = sys.argv[1:]
    with suppress(BrokenPipeError):
        uvloop.run(_run(Path(folder), range(int(begin), int(end)), float(per_second)))


if __name__ == "__main__":
    main()
