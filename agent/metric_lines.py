"""Metrics as the lines of Prometheus' text format."""

from collections.abc import Iterator, Mapping


def gauge(name: str, text: str, value: float) -> Iterator[str]:
    """Yield one gauge."""
    yield f"# HELP jira_agent_{name} {text}"
    yield f"# TYPE jira_agent_{name} gauge"
    yield f"jira_agent_{name} {value}"


def counter(name: str, text: str, values: Mapping[str, int]) -> Iterator[str]:
    """Yield one counter, with a line for each set of labels (``{name="value"}``, or empty)."""
    yield f"# HELP jira_agent_{name} {text}"
    yield f"# TYPE jira_agent_{name} counter"
    for labels, value in values.items():
        yield f"jira_agent_{name}{labels} {value}"
