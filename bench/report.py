"""The tables of a run and of a comparison, as Markdown. Pure: figures in, text out."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench import goals, ours
from bench.accepted import ALLOWED, Comparison, Outcome
from bench.figures import IDLE, LOADED, Figures
from bench.goals import shown
from bench.loads import CLOSED, KEPT, SEARCH, UNTOUCHED, Plan
from bench.marks import MARKS, spread
from bench.measure import Load
from bench.systems import TITLES

QUIET = 0.05  # of the machine's CPU: with more for other programs, even ratios move
_WORDS = {True: "met", False: "**not met**", None: "not measured"}


def report(figures: Figures) -> str:
    """Return everything that a run found."""
    parts = [
        _about(figures),
        "4 KiB answers, connections kept open:",
        _loads(figures, KEPT),
        "4 KiB answers, one connection per request (latency without the opening of the connection):",
        _loads(figures, CLOSED),
        "Search answer of 120 KiB, uncompressed:",
        _loads(figures, (SEARCH, UNTOUCHED)),
        _bulk(figures),
        _memory(figures),
        _noise(figures),
        *(f"Not measured: {TITLES[name]}: {reason}." for name, reason in figures.absent.items()),
        "Goals, by the median of each round's ratio (the columns above divide medians):",
        _goals(figures),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(figures: Figures) -> str:
    machine, options = figures.machine, figures.options
    versions = ", ".join(f"{name} {number}" for name, number in figures.versions.items())
    return (
        f"{figures.date}: {options['rounds']} interleaved rounds of {options['seconds']:g} s, medians. "
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_mib']} MiB, kernel {machine['kernel']}.\n"
        f"{versions}.\n"
        f"{_busy(machine)}"
        f"On in jira-tunnel: {'; '.join(figures.switched_on)}. Off: {'; '.join(ours.SWITCHED_OFF)}."
    )


def _busy(machine: Mapping[str, Any]) -> str:
    """Tell what else the machine did."""
    told = f"Other programs used {machine['others']:.0%} of the machine's CPU meanwhile"
    return f"{told}.\n" if machine["others"] <= QUIET else f"**{told}: it has better figures than these.**\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _loads(figures: Figures, plans: Sequence[Plan]) -> str:
    head = ("system", "callers", "req/s", "x ssh -R", "x nginx", "p50 ms", "p99 ms", "CPU µs/request", "errors")
    rows = []
    for plan in plans:
        peers = [figures.series(peer, _peers_load(plan), "requests_per_second") for peer in ("ssh", "nginx")]
        for name, measured in figures.systems.items():
            if plan.name in measured.loads:
                title = TITLES[name] + (", links rewritten" if (name, plan) == ("ours", SEARCH) else "")
                title += ", links untouched" if plan.untouched else ""
                rows.append([title, str(plan.callers), *_load(measured.loads[plan.name], peers)])
    return _table(head, rows) if rows else ""


def _peers_load(plan: Plan) -> str:
    return SEARCH.name if plan.untouched else plan.name


def _load(rounds: list[Load], peers: list[list[float]]) -> list[str]:
    rate = median(one.requests_per_second for one in rounds)
    cpu = {program: median(one.cpu[program] for one in rounds) for program in rounds[0].cpu}
    spent = " + ".join(f"{program} {value:.0f}" for program, value in cpu.items())
    return [
        f"{rate:,.0f}",
        *(f"{rate / median(peer):.2f}" if peer else "" for peer in peers),
        f"{median(one.p50 for one in rounds):.2f}",
        f"{median(one.p99 for one in rounds):.2f}",
        f"{spent} = {sum(cpu.values()):.0f}" if cpu else "",
        str(sum(one.errors for one in rounds)),
    ]


def _bulk(figures: Figures) -> str:
    rows = [
        [TITLES[name], *(f"{median(measured.bulk[way]):.0f}" for way in ("download", "upload"))]
        for name, measured in figures.systems.items()
        if measured.bulk
    ]
    return _table(("bulk", "download MB/s", "upload MB/s"), rows) if rows else ""


def _memory(figures: Figures) -> str:
    rows = []
    for name, measured in figures.systems.items():
        for program, idle in measured.rss_mib.get(IDLE, {}).items():
            loaded = measured.rss_mib.get(LOADED, {}).get(program, 0.0)
            rows.append([TITLES[name], program, f"{idle:.1f}", f"{loaded:.1f}"])
    link = figures.idle_link_kib
    last = "" if link is None else f"\n\nIdle agent link at the gateway: {link:.0f} KiB."
    return _table(("memory", "program", "idle MiB", "after load MiB"), rows) + last if rows else ""


def _noise(figures: Figures) -> str:
    found = figures.systems.get("direct")
    if found is None:
        return ""
    noise = {name: spread([one.requests_per_second for one in rounds]) for name, rounds in found.loads.items()}
    told = ", ".join(f"{name} {value:.0%}" for name, value in noise.items())
    return f"Noise of the machine, as the spread of direct's requests/s over the rounds: {told}."


def _goals(figures: Figures) -> str:
    verdicts = goals.judge(figures)
    rows = []
    for verdict in verdicts:
        mark = MARKS[verdict.goal.mark]
        value = "" if verdict.value is None else shown(verdict.value, mark.unit)
        noise = "" if verdict.value is None else f"{spread(mark.rounds(figures)):.0%}"
        rows.append([mark.name, verdict.goal.asks, value, noise, _WORDS[verdict.is_met]])
    return _table(("goal", "asks", "found", "spread", "verdict"), rows)


def beside(before: Mapping[str, Any], now: Figures) -> str:
    """Return what the two runs of a comparison were, and a warning where one of them was disturbed."""
    shares = [machine["others"] for machine in (before["machine"], now.machine)]
    told = f"Beside the run accepted at {before['date']} on {before['machine']['cpu']}; other programs used "
    told += f"{shares[0]:.0%} of the CPU then and {shares[1]:.0%} now"
    return told + (": **what differs may be their doing.**" if max(shares) > QUIET else ".")


def comparison(compared: Sequence[Comparison]) -> str:
    """Return every mark of two runs side by side."""
    rows = [[one.mark, *_sides(one), one.outcome.value] for one in compared if one.outcome is not Outcome.SKIPPED]
    return _table(("mark", "accepted", "now", "worse by", "noise", "outcome"), rows)


def _sides(one: Comparison) -> list[str]:
    unit = MARKS[one.mark].unit
    return [shown(one.before, unit), shown(one.now, unit), f"{one.worse:+.0%}", f"{one.noise:.0%}"]


def findings(compared: Sequence[Comparison]) -> list[str]:
    """Return a line for each mark that regressed, that noise excuses, or that was skipped; and how blind it was."""
    lines = []
    for one in compared:
        if one.outcome is Outcome.SKIPPED:
            lines.append(f"skipped: {one.mark}: measured in one of the two runs only")
        elif one.outcome is not Outcome.HELD:
            before, now, worse, noise = _sides(one)
            word = "REGRESSION" if one.outcome is Outcome.REGRESSED else "noisy"
            allowed = f"allowed {ALLOWED:.0%} beyond noise of {noise}"
            lines.append(f"{word}: {one.mark}: from {before} to {now}, worse by {worse} ({allowed})")
    blind = sum(one.noise > ALLOWED for one in compared)
    if blind:
        lines.append(f"{blind} of {len(compared)} marks have a noise above {ALLOWED:.0%}: a quieter machine sees more")
    return lines
