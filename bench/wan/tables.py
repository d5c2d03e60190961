"""The figures of a run as Markdown. Pure."""

from statistics import median
from typing import Any

from bench.wan.goals import Report, verdicts
from bench.wan.plan import PLANS, Plan

_TITLES = {
    "fresh": "fresh connection ms",
    "keep": "keep-alive ms",
    "many": "64 callers req/s, ms",
    "down": "64 MiB down MB/s",
    "up": "64 MiB up MB/s",
    "beside down": "small beside a download ms (line MB/s)",
    "beside up": "small beside an upload ms (line MB/s)",
}


def render(report: Report) -> str:
    """Return every line's table, the links over time, and the goals."""
    blocks = [_line(plan, report.lines[plan.name]) for plan in PLANS if plan.name in report.lines]
    if report.links is not None:
        blocks.append(_links(report.links))
    blocks.append(_goals(report))
    return "\n\n".join(blocks)


def describe(plan: Plan) -> str:
    """Return a line in words."""
    line = plan.line
    rate = f", {line.rate_mbit:g} Mbit/s with a queue of {line.queue_kb} KiB" if line.rate_mbit else ""
    return f"{plan.name}: RTT {line.round_trip:g} ms, loss {line.loss:g} %{rate}, {line.congestion}"


def _line(plan: Plan, figures: dict[str, Any]) -> str:
    titles = [_TITLES[load] for load in plan.loads]
    rows = [f"**{describe(plan)}**", "", f"| system | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for system, of in figures.items():
        rows.append(f"| {system} | {' | '.join(_cell(of[load]) for load in plan.loads)} |")
    return "\n".join(rows)


def _cell(rounds: list[dict[str, Any]]) -> str:
    middle = {
        name: median(each[name] for each in rounds) for name in rounds[0] if not isinstance(rounds[0][name], dict)
    }
    parts = []
    if "requests_per_second" in middle:
        parts.append(f"{middle['requests_per_second']:,.0f},")
    if "p50" in middle:
        parts.append(f"{middle['p50']:.1f} / {middle['p99']:.0f}")
    if "mb_per_second" in middle:
        parts.append(f"({middle['mb_per_second']:.1f})" if parts else f"{middle['mb_per_second']:.1f}")
    if "ping_ms" in middle:
        parts.append(f"ping {middle['ping_ms']:.0f}")
    if middle.get("errors"):
        parts.append(f"{sum(each['errors'] for each in rounds)} errors")
    return " ".join(parts)


def _links(links: dict[str, Any]) -> str:
    steps = ", ".join(f"{count} at {at:.0f} s" for at, count in links["changes"])
    return f"Links at 0.5 % loss: {steps}. Quiet began at {links['quiet_at']:.0f} s."


def _goals(report: Report) -> str:
    rows = ["| goal | limit | measured | |", "|---|---|---|---|"]
    for goal, value in verdicts(report):
        limit = f"{'≥' if goal.at_least else '≤'} {goal.limit:g}"
        shown, verdict = (
            ("", "not measured") if value is None else (f"{value:.2f}", "met" if goal.is_met(value) else "**not met**")
        )
        rows.append(f"| {goal.text} | {limit} | {shown} | {verdict} |")
    return "\n".join(rows)
