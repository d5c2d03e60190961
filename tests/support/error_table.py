"""The error table of docs/contract.md, made from gateway/errors.py: `make docs` writes it anew.

What each row means to a caller, and what to do, is docs/clients.md.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from gateway import errors

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"
_BEGIN = "<!-- errors: made by make docs -->\n"
_END = "\n<!-- end of errors -->"


def slugs() -> Iterator[errors.Slug]:
    """Every row of the table, in the order of the code."""
    yield from (slug for slug in vars(errors).values() if isinstance(slug, errors.Slug))


def table() -> str:
    """The rows as a Markdown table."""
    by_agents = {slug for slug, source in errors.RESETS.values() if source is errors.Source.AGENT}
    by_agents |= {errors.INTERNAL, errors.RATE_LIMITED}  # the latter for Jira's own limit
    head = "| `Tunnel-Error` | status | `Retry-After`, seconds | an agent may say it |"
    rows = [
        f"| `{slug.name}` | {slug.status} | {slug.retry_after or ''} | {'yes' if slug in by_agents else ''} |"
        for slug in slugs()
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


def with_table(text: str) -> str:
    """The document with the table in place of what stood between its marks."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} has no marks for the error table")
    return before + begin + table() + end + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} is current\n")
