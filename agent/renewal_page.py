"""What status pages say of the certificate's renewal. Reads agent.renewal, changes nothing."""

from collections.abc import Iterator
from typing import Any

from agent.renewal import Renewal


def renewal_page(renewal: Renewal | None) -> dict[str, Any] | None:
    """Return when the certificate is renewed next, how often it was, and what the last problem is."""
    if renewal is None:
        return None
    due = renewal.due
    return {
        "due_at": None if due is None else due.isoformat(timespec="seconds"),
        "renewed": renewal.renewed,
        "failed": renewal.failed,
        "problem": renewal.problem,
    }


def renewal_warnings(renewal: Renewal | None) -> Iterator[str]:
    """Yield what a person should know: a certificate that ends soon, or why it was not renewed yet."""
    if renewal is None:
        return
    left, problem = renewal.ends_soon, renewal.problem
    if left is not None:
        hours = int(left.total_seconds() // 3600)
        why = problem or "it could not be renewed: there was no link"
        yield f"this agent's certificate ends in {hours} h, and with it its links: {why}"
    elif problem is not None:
        yield f"this agent's certificate was not renewed yet: {problem}"
