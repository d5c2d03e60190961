"""Runs that nobody measured, for what is made of runs."""

from bench.figures import Figures, Measured
from bench.loads import Plan
from bench.measure import Load
from bench.systems import LOADS

RATES = {"direct": 60_000, "nginx": 24_000, "ssh": 1_000, "ssh-gcm": 1_100, "ours": 10_000, "broker": 500}
CPU = {"direct": {}, "nginx": {"entry": 20, "exit": 20}, "ours": {"gateway": 40, "agent": 40}}
PROGRAMS = {"server": 20, "client": 20}


def run(rounds: int = 3) -> Figures:
    """Return a run in which every goal is met and every round found the same."""
    figures = Figures(
        "2026-03-04T16:20:11+00:00",
        {"cores": 2, "cpu": "a CPU", "kernel": "6.1", "memory_mib": 4000, "others": 0.01},
        {"python": "3.11.7"},
        {"rounds": rounds, "seconds": 2.0},
        ["policy"],
        idle_link_kib=50.0,
    )
    for name, plans in LOADS.items():
        loads = {plan.name: [_load(name, plan)] * rounds for plan in plans}
        memory = dict.fromkeys(CPU.get(name, PROGRAMS), 50.0)
        figures.systems[name] = Measured(
            loads, {"download": [400.0] * rounds, "upload": [300.0] * rounds}, {"idle": memory, "after load": memory}
        )
    return figures


def _load(name: str, plan: Plan) -> Load:
    rate = RATES[name] / (1 if plan.keep_alive else 2)
    factor = 1.5 if plan.kind == "search" else 1.0
    cpu = {program: value * factor for program, value in CPU.get(name, PROGRAMS).items()}
    p99 = 10.0 if name == "ours" else 20.0
    return Load(rate, p99 / 2, p99, 0, {program: float(value) for program, value in cpu.items()})
