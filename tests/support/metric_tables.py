"""docs/metrics.md, made from the tables of metrics: `make docs` writes it anew."""

import sys
from pathlib import Path

from agent import metric_table as agent
from gateway import metric_table as gateway
from runtime.metrics import PROCESS, Metric, Table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
TABLES: dict[str, Table] = {"gateway": gateway.TABLE, "agent": agent.TABLE, "process": PROCESS}


def table(name: str) -> str:
    """The metrics of one program as a Markdown table, in the order of the code."""
    rows = [_row(metric) for metric in TABLES[name]]
    return "\n".join(["| metric | kind | labels | says | look when |", "|---|---|---|---|---|", *rows])


def with_tables(text: str) -> str:
    """The document with every table in place of what stood between its marks."""
    for name in TABLES:
        begin, end = f"<!-- metrics of the {name}: made by make docs -->\n", "\n<!-- end of metrics -->"
        before, mark, rest = text.partition(begin)
        if not mark or end not in rest:
            raise ValueError(f"{DOCUMENT.name} has no marks for the metrics of the {name}")
        text = before + mark + table(name) + end + rest.partition(end)[2]
    return text


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    unit = f", {metric.unit.replace('_', ' ')}" if metric.unit not in {"", "info"} else ""
    return f"| `{metric.name}` | {metric.kind.value}{unit} | {labels} | {metric.text} | {metric.look} |"


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} is current\n")
