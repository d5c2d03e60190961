"""What one run found, and its JSON: every round as it was measured, so that medians and noise can be made anew.

{
  "schema": 1,
  "date": "2026-03-04T16:20:11+00:00",
  "machine": {"cores": 2, "cpu": "...", "kernel": "...", "memory_mib": 3900,
              "others": 0.01},                       part of its CPU that other programs used meanwhile
  "versions": {"jira-tunnel": "...", "python": "...", "nginx": "...", "openssh": "...", ...},
  "options": {"rounds": 3, "seconds": 2.0},
  "switched_on": ["...", ...],                       what an installation has, and was on
  "systems": {                                       by the names of bench.systems
    "ours": {
      "loads": {"small@16": [                        one entry per round; also close@, search@, untouched@
        {"requests_per_second": 0.0, "p50": 0.0, "p99": 0.0, "errors": 0, "cpu": {"gateway": 0.0, "agent": 0.0}}
      ]},                                            latencies in ms, cpu in microseconds per request
      "bulk": {"download": [0.0], "upload": [0.0]},  MB/s, one entry per round
      "rss_mib": {"idle": {"gateway": 0.0}, "after load": {"gateway": 0.0}}
    }
  },
  "absent": {"broker": "npm not installed"},         why a system was not measured
  "idle_link_kib": 48.0                              null when it was not measured
}
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import Load

SCHEMA = 1
IDLE, LOADED = "idle", "after load"


@dataclass
class Measured:
    """What was found of one system."""

    loads: dict[str, list[Load]] = field(default_factory=dict)
    bulk: dict[str, list[float]] = field(default_factory=dict)
    rss_mib: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Figures:
    """What one run found."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    options: dict[str, Any]
    switched_on: list[str]
    systems: dict[str, Measured] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    idle_link_kib: float | None = None

    def series(self, system: str, load: str, figure: str) -> list[float]:
        """Return every round's `requests_per_second`, `p50`, `p99`, or `cpu` (of all its processes together)."""
        measured = self.systems.get(system, Measured()).loads.get(load, [])
        if figure == "cpu":
            return [sum(one.cpu.values()) for one in measured if one.cpu]
        return [float(getattr(one, figure)) for one in measured]

    def bulk(self, system: str, way: str) -> list[float]:
        """Return MB/s of every round; `way` is `download` or `upload`."""
        return self.systems.get(system, Measured()).bulk.get(way, [])

    def rss(self, system: str, when: str, program: str) -> list[float]:
        """Return a program's resident memory in MiB as a list of one, or none."""
        memory = self.systems.get(system, Measured()).rss_mib.get(when, {})
        return [memory[program]] if program in memory else []

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")


def read(path: Path) -> Figures:
    """Read what `write` wrote.

    Raises:
        ValueError: it is no such JSON.
        OSError: it cannot be read.
    """
    document = json.loads(path.read_text())
    if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path} holds no figures of this benchmark (schema {SCHEMA})")
    systems = document.pop("systems")
    figures = Figures(**document)
    for name, measured in systems.items():
        loads = {load: [Load(**one) for one in rounds] for load, rounds in measured["loads"].items()}
        figures.systems[name] = Measured(loads, measured["bulk"], measured["rss_mib"])
    return figures
