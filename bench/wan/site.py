"""Everything on one line: the four systems, and what the agent says about its links."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import answers
from bench.nginx import NginxPair
from bench.place import Place
from bench.ssh import SshTunnel
from bench.wan.network import FAR, NEAR, Line, Wan, wide_area
from bench.wan.upstream import upstream
from tests.lab.namespaces import inside
from tests.support.stack import Agent, Program, Stack, page, wait_until

DIRECT, NGINX, SSH, OURS = SYSTEMS = ("direct", "nginx mTLS", "ssh -R", "jira-tunnel")


@dataclass(frozen=True, slots=True)
class System:
    """One way to the upstream, from the near end: address, path before the upstream's, what to send along."""

    name: str
    host: str
    port: int
    prefix: str = ""
    headers: tuple[str, ...] = ()

    def url(self, path: str) -> str:
        """Return the address of something at the upstream."""
        return f"http://{self.host}:{self.port}{self.prefix}{path}"

    @property
    def small(self) -> bytes:
        """The request for the small answer."""
        lines = [f"GET {self.prefix}{answers.SMALL} HTTP/1.1", f"Host: {self.host}", *self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True, slots=True)
class Site:
    """The running systems on a line, and the agent among them."""

    wan: Wan
    line: Line
    systems: dict[str, System]
    agent: Agent | None

    @property
    def caller(self) -> Place:
        """Where callers are."""
        return at(self.wan.near)

    def status(self) -> dict[str, Any]:
        """Return the agent's status page."""
        assert self.agent is not None
        with inside(self.wan.far):
            status, text = page(self.agent.admin_port, "/status")
        return dict(json.loads(text)) if status == 200 else {"links": [], "links_wanted": 0}

    def links(self) -> int:
        """Return how many links the agent holds that take requests."""
        return sum(link["usable"] for link in self.status()["links"])


def at(namespace: str, address: str = "127.0.0.1") -> Place:
    """Return a place in a namespace."""
    return Place(address, ("ip", "netns", "exec", namespace))


@contextmanager
def site(folder: Path, line: Line, names: tuple[str, ...] = SYSTEMS) -> Iterator[Site]:
    """Start the systems of these names on a new line; raises `LabUnavailable`."""
    folder.mkdir()
    folder.chmod(0o755)
    with ExitStack() as stack:
        wan = stack.enter_context(wide_area(folder, line))
        near, far = at(wan.near), at(wan.far, FAR)
        web = upstream(stack, folder / "web", far)
        systems = {DIRECT: System(DIRECT, FAR, web)}
        if NGINX in names:
            pair = NginxPair(folder / "nginx", [web], near, far)
            _stop_later(stack, pair.programs)
            systems[NGINX] = System(NGINX, near.address, pair.ports[web])
        if SSH in names:
            ssh = SshTunnel(folder / "ssh", [web], outside=at(wan.near, NEAR), inside=far)
            _stop_later(stack, ssh.programs)
            systems[SSH] = System(SSH, NEAR, ssh.ports[web])
        agent = None
        if OURS in names:
            systems[OURS], agent = _ours(stack, folder / "ours", wan, f"http://{FAR}:{web}")
        yield Site(wan, line, {name: systems[name] for name in SYSTEMS if name in names}, agent)


def _stop_later(stack: ExitStack, programs: list[Program]) -> None:
    for program in programs:
        stack.callback(program.stop)


def _ours(stack: ExitStack, folder: Path, wan: Wan, jira_url: str) -> tuple[System, Agent]:
    tunnel = Stack(folder, jira_url)
    where = f"{NEAR}:{tunnel.tunnel_port}"
    tunnel.gateway.environment |= {
        "JIRA_GATEWAY_TUNNEL_LISTEN": where,
        "JIRA_GATEWAY_TUNNEL_URL": f"wss://{where}",
    }
    stack.enter_context(tunnel)
    with inside(wan.near):
        tunnel.start_gateway()
        code = tunnel.must("agents", "invite", "hq")
    agent = tunnel.agent("hq")
    with inside(wan.far):
        done = agent.command("enroll", "-", stdin=code)
        if done.returncode != 0:
            raise RuntimeError(f"jira-agent enroll ended with {done.returncode}: {done.stderr}")
        agent.start_and_wait()
    with inside(wan.near):
        token = tunnel.connect("hq", credentials="caller")
        wait_until(lambda: tunnel.count_links("hq") >= 2, "both links are up")
    return System(OURS, "127.0.0.1", tunnel.api_port, "/jira/hq", (f"Tunnel-Authorization: Bearer {token}",)), agent
