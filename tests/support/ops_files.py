"""What ops/ holds: the expressions of rules and dashboard, and the names of metrics in them."""

import json
import re
from collections.abc import Iterator

from agent import metric_table as agent
from gateway import metric_table as gateway
from runtime.metrics import Kind
from tests.support.alert_table import PROJECT, rules

DASHBOARD = PROJECT / "ops" / "grafana" / "jira-tunnel.json"
METRICS = {metric.name: metric for metric in (*agent.EVERYTHING, *gateway.EVERYTHING)}

_NAME = re.compile(r"\b((?:jira|process)_[a-z0-9_]+)\b(?!\()")
_BOTH = re.compile(r'__name__=~"jira_\(gateway\|agent\)_(\w+)"')
_VARIABLES = {"$__rate_interval": "5m", "$agent": "a", "$connection": "c"}


def dashboard() -> dict:
    """The dashboard as it is imported."""
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def panels() -> Iterator[dict]:
    """Every panel that asks something."""
    yield from (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def expressions() -> Iterator[tuple[str, str]]:
    """(where it stands, expression) of every rule and panel; variables are replaced, so that promtool reads it."""
    yield from ((rule["alert"], rule["expr"]) for rule in rules())
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in _VARIABLES.items():
                text = text.replace(name, value)
            yield panel["title"], text


def metrics_in(expression: str) -> set[str]:
    """The metrics of an expression, as the tables name them."""
    both = {f"jira_{program}_{rest}" for rest in _BOTH.findall(expression) for program in ("gateway", "agent")}
    return both | {_row(name) for name in _NAME.findall(_BOTH.sub("", expression))}


def labels_in(expression: str) -> Iterator[tuple[str, str]]:
    """(metric, label) for every label that a selector asks for."""
    for name, selector in re.findall(r"\b((?:jira|process)_[a-z0-9_]+)\{([^}]*)\}", expression):
        for label in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', selector):
            yield _row(name), label


def _row(name: str) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        stem = name.removesuffix(suffix)
        if stem != name and stem in METRICS and METRICS[stem].kind is Kind.HISTOGRAM:
            return stem
    return name
