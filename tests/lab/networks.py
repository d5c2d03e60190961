"""Three networks on one machine: cloud, firewall, company; and what goes wrong on the way between them.

    with three_networks() as net:
        with inside(net.company): ...     # an agent and its Jira
        with inside(net.cloud): ...       # the gateway and its callers
        with net.black_hole(): ...

The firewall translates addresses and lets in nothing: new flows go from the company to GATEWAY's TUNNEL_PORT only. It
counts what it drops. Needs root, iproute2, nftables; raises `LabUnavailable` otherwise.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from tests.lab.namespaces import LabUnavailable, ip, namespace

GATEWAY, OTHER, WAN = "198.51.100.10", "198.51.100.11", "198.51.100.1"
LAN, COMPANY = "10.77.0.1", "10.77.0.2"
GATEWAY6, WAN6, LAN6, COMPANY6 = "fd00:51::10", "fd00:51::1", "fd00:77::1", "fd00:77::2"
TUNNEL_PORT = 8443
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Not everybody's way leads to where the tools are."""

RULES = f"""
table inet fw {{
  counter from_cloud {{ }}
  counter from_company {{ }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    jump faults
    ct state established,related accept
    iifname "lan1" ip daddr {GATEWAY} tcp dport {TUNNEL_PORT} ct state new accept
    iifname "lan1" ip6 daddr {GATEWAY6} tcp dport {TUNNEL_PORT} ct state new accept
    iifname "wan1" counter name from_cloud drop
    iifname "lan1" meta l4proto tcp counter name from_company drop
  }}
  chain faults {{ }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "wan1" ct state new meta l4proto tcp counter name from_cloud drop
  }}
}}
table ip nat {{
  chain post {{ type nat hook postrouting priority srcnat; oifname "wan1" masquerade; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Networks:
    """The names of the three namespaces, and what can happen at the firewall."""

    cloud: str
    firewall: str
    company: str

    def dropped(self, counter: str) -> int:
        """Return how many packets the firewall has dropped: `from_cloud` or `from_company`."""
        words = self._at_firewall("nft", "list", "counter", "inet", "fw", counter).split()
        return int(words[words.index("packets") + 1])

    def forget_flows(self) -> None:
        """Let the firewall forget every flow, as after its restart; nobody is told."""
        self._at_firewall("conntrack", "-F")

    def forget_idle_flows(self, seconds: int) -> None:
        """Let the firewall forget flows that are idle for so long, without a reset."""
        prefix = "net.netfilter.nf_conntrack_tcp"
        self._at_firewall(
            "sysctl", "-qw", f"{prefix}_loose=0", f"{prefix}_timeout_established={seconds}", f"{prefix}_be_liberal=0"
        )

    @contextmanager
    def link_down(self) -> Iterator[None]:
        """Pull the cable to the cloud."""
        ip("-n", self.firewall, "link", "set", "wan1", "down")
        try:
            yield
        finally:
            ip("-n", self.firewall, "link", "set", "wan1", "up")
            # Linux takes IPv6 addresses away with the link.
            ip("-n", self.firewall, "addr", "replace", f"{WAN6}/64", "dev", "wan1", "nodad")

    def black_hole(self) -> AbstractContextManager[None]:
        """Drop everything of the tunnel in both directions."""
        return self._fault(f"tcp dport {TUNNEL_PORT} drop", f"tcp sport {TUNNEL_PORT} drop")

    def one_way(self) -> AbstractContextManager[None]:
        """Drop what the gateway sends; what the agent sends arrives."""
        return self._fault(f"tcp sport {TUNNEL_PORT} drop")

    def resets(self) -> AbstractContextManager[None]:
        """Answer everything of the tunnel with a reset."""
        return self._fault(f"meta l4proto tcp tcp dport {TUNNEL_PORT} reject with tcp reset")

    def loss(self, percent: int) -> AbstractContextManager[None]:
        """Lose packets in both directions, at random."""
        return self._fault(f"meta l4proto tcp numgen random mod 100 < {percent} drop")

    def no_way_but_the_proxy(self) -> AbstractContextManager[None]:
        """Forward nothing new: what leaves goes through a program at the firewall."""
        return self._fault("ct state new drop")

    @contextmanager
    def _fault(self, *rules: str) -> Iterator[None]:
        for rule in rules:
            self._at_firewall("nft", "add", "rule", "inet", "fw", "faults", *rule.split())
        try:
            yield
        finally:
            self._at_firewall("nft", "flush", "chain", "inet", "fw", "faults")

    def _at_firewall(self, *command: str) -> str:
        return _run("ip", "netns", "exec", self.firewall, *command)


@contextmanager
def three_networks() -> Iterator[Networks]:
    """Make the three networks, and remove them at the end."""
    missing = [tool for tool in ("ip", "nft", "conntrack", "sysctl") if shutil.which(tool, path=PATH) is None]
    if os.geteuid() != 0 or missing:
        raise LabUnavailable(f"networks need root, and {', '.join(missing) or 'iproute2 and nftables'}")
    prefix = f"jt{os.getpid()}"
    with ExitStack() as stack:
        names = [stack.enter_context(namespace(f"{prefix}-{each}")) for each in ("cloud", "fw", "company")]
        net = Networks(*names)
        _cable(net.cloud, "wan0", net.firewall, "wan1")
        _cable(net.company, "lan0", net.firewall, "lan1")
        addresses = {
            (net.cloud, "wan0"): [f"{GATEWAY}/24", f"{OTHER}/24", f"{GATEWAY6}/64"],
            (net.firewall, "wan1"): [f"{WAN}/24", f"{WAN6}/64"],
            (net.firewall, "lan1"): [f"{LAN}/24", f"{LAN6}/64"],
            (net.company, "lan0"): [f"{COMPANY}/24", f"{COMPANY6}/64"],
        }
        for (name, device), listed in addresses.items():
            for address in listed:
                nodad = ["nodad"] if ":" in address else []
                ip("-n", name, "addr", "add", address, "dev", device, *nodad)
        for name, gateway, gateway6 in ((net.cloud, WAN, WAN6), (net.company, LAN, LAN6)):
            ip("-n", name, "route", "add", "default", "via", gateway)
            ip("-n", name, "-6", "route", "add", "default", "via", gateway6)
        forwarding = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        _run("ip", "netns", "exec", net.firewall, "sysctl", "-qw", *forwarding)
        _run("ip", "netns", "exec", net.firewall, "nft", "-f", "-", stdin=RULES)
        net.forget_idle_flows(600)
        yield net


def _cable(near: str, near_end: str, far: str, far_end: str) -> None:
    ip("-n", near, "link", "add", near_end, "type", "veth", "peer", "name", far_end, "netns", far)
    ip("-n", near, "link", "set", near_end, "up")
    ip("-n", far, "link", "set", far_end, "up")


def _run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if done.returncode != 0:
        raise LabUnavailable(f"'{' '.join(command)}' failed: {done.stderr.strip()}")
    return done.stdout
