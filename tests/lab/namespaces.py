"""Network namespaces for the lab: made, entered and removed by the test itself (needs root and iproute2).

with two_hosts(["198.51.100.10", "198.51.100.11"], "198.51.100.1") as (near, far):
    with inside(near):
        ...  # sockets and processes that are made here live in that namespace
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class LabUnavailable(Exception):
    """This machine cannot make namespaces; the reason is for the skip."""


def ip(*words: str) -> None:
    """Run an `ip` command; raises `LabUnavailable`."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise LabUnavailable(f"'ip {' '.join(words)}' failed: {done.stderr.strip()}")


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """Make a namespace with a loopback, and remove it at the end."""
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def one_host() -> Iterator[str]:
    """Make a namespace with nothing but a loopback; raises `LabUnavailable`."""
    _check()
    with namespace(f"jt{os.getpid()}-one") as name:
        yield name


def _check() -> None:
    if os.geteuid() != 0:
        raise LabUnavailable("namespaces need root")
    if shutil.which("ip") is None:
        raise LabUnavailable("iproute2 is not installed")


@contextmanager
def two_hosts(near_addresses: Sequence[str], far_address: str) -> Iterator[tuple[str, str]]:
    """Make two namespaces on one line, the first with several addresses; raises `LabUnavailable`."""
    _check()
    prefix = f"jt{os.getpid()}"
    with ExitStack() as stack:
        near = stack.enter_context(namespace(f"{prefix}-near"))
        far = stack.enter_context(namespace(f"{prefix}-far"))
        ip("-n", near, "link", "add", "wan0", "type", "veth", "peer", "name", "wan1", "netns", far)
        for address in near_addresses:
            ip("-n", near, "addr", "add", f"{address}/24", "dev", "wan0")
        ip("-n", far, "addr", "add", f"{far_address}/24", "dev", "wan1")
        for name, device in ((near, "wan0"), (far, "wan1")):
            ip("-n", name, "link", "set", device, "up")
        yield near, far


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Put this thread into a namespace for the block."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
