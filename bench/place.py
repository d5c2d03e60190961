"""Where a program of a benchmark runs: this machine's loopback, or a network namespace with an address of its own."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.stack import Program


@dataclass(frozen=True)
class Place:
    """An address that its programs listen on, and the words that run a command there (`ip netns exec name`)."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()

    def run(self, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Program:
        """Start a program there; whoever asked ends it."""
        return Program([*self.prefix, *command], os.environ if environment is None else environment, log).start()


LOOPBACK = Place()


def tool(name: str) -> str | None:
    """Return the path of a system program, also of one that only root has on its PATH; None when it is missing."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def need(name: str) -> str:
    """Return the path of a system program.

    Raises:
        FileNotFoundError: there is none.
    """
    path = tool(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path
