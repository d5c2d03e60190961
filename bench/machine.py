"""What a run was measured on: the machine, and the versions of everything in it."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.place import tool

# Program, the words that make it tell its version, and where that is in what it prints.
_TELLS = {
    "nginx": (["nginx", "-v"], r"nginx/(\S+)"),
    "openssh": (["ssh", "-V"], r"OpenSSH_([^\s,]+)"),
    "openssl": (["ssh", "-V"], r"OpenSSL (\S+)"),
    "wrk": (["wrk", "-v"], r"wrk (\S+)"),
    "curl": (["curl", "--version"], r"curl (\S+)"),
    "node": (["node", "--version"], r"v(\S+)"),
}


def machine() -> dict[str, Any]:
    """Return cores, CPU, kernel and memory."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model[1] if model else platform.machine(),
        "kernel": platform.release(),
        "memory_mib": int(memory[1]) // 1024 if memory else 0,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of the libraries that the request path stands on, and of the peers."""
    found = {"jira-tunnel": version("jira-tunnel"), "python": platform.python_version()}
    found |= {name: version(name) for name in ("uvloop", "websockets", "httptools")}
    for name, (command, pattern) in _TELLS.items():
        path = tool(command[0])
        if path:
            done = subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False, timeout=10)
            match = re.search(pattern, done.stdout + done.stderr)
            found[name] = match[1] if match else "unknown"
    return found
