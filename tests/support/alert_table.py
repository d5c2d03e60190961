"""The table of alerts in docs/operations.md, made from ops/prometheus/alerts.yml: `make docs` writes it anew."""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
RULES = PROJECT / "ops" / "prometheus" / "alerts.yml"
DOCUMENT = PROJECT / "docs" / "operations.md"
_BEGIN = "<!-- alerts: made by make docs -->\n"
_END = "\n<!-- end of alerts -->"
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")


def rules() -> list[dict[str, Any]]:
    """Every rule, as the file has it."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def table() -> str:
    """The rows as a Markdown table; each has its alert's name as anchor."""
    return "\n".join(["| alert | severity | says | what to do |", "|---|---|---|---|", *map(_row, rules())])


def with_alerts(text: str) -> str:
    """The document with the table in place of what stood between its marks."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} has no marks for the alerts")
    return before + begin + table() + end + after


def _row(rule: dict[str, Any]) -> str:
    name, notes = rule["alert"], rule["annotations"]
    says = re.sub(r" +", " ", _LABEL.sub(lambda label: f"*{label[1]}* ", notes["summary"])).replace(" .", ".")
    says = re.sub(r" ([,;:])", r"\1", says)
    return f'| <a id="{name}"></a>`{name}` | {rule["labels"]["severity"]} | {says} | {notes["description"]} |'


if __name__ == "__main__":
    DOCUMENT.write_text(with_alerts(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} is current\n")
