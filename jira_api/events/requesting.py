"""A request to Jira before anybody sends it: the method, the target below Jira's base URL, and the JSON body."""

from typing import Any, NamedTuple

from jira_api.events.fields import dump_json


class JiraRequest(NamedTuple):
    """`target` is path and query below Jira's base URL; `body` is JSON, b"" when the request has none."""

    method: bytes
    target: bytes
    body: bytes = b""


def get(target: str) -> JiraRequest:
    """Ask for `target`."""
    return JiraRequest(b"GET", target.encode("ascii"))


def send(method: bytes, target: str, document: dict[str, Any]) -> JiraRequest:
    """Send `document` to `target`."""
    return JiraRequest(method, target.encode("ascii"), dump_json(document))
