"""What status says about webhooks. Reads everything, changes nothing."""

from datetime import UTC, datetime
from typing import Any

from agent.webhooks import Webhooks


def webhook_page(webhooks: Webhooks | None) -> dict[str, Any] | None:
    """Return the section of the status page; None when nothing is received or carried here."""
    if webhooks is None or not webhooks.is_active:
        return None
    spool, tally = webhooks.spool, webhooks.tally
    oldest = spool.contents.oldest_at
    return {
        "listening": None if webhooks.address is None else str(webhooks.address),
        "url": webhooks.url,
        "hooks": len(webhooks.hooks),
        "spool": {
            "events": spool.contents.records,
            "bytes": spool.contents.size,
            "limit_bytes": spool.max_bytes,
            "oldest_age_seconds": None if oldest is None else max(0, webhooks.edge.now_ms() - oldest) // 1000,
            "problem": None if spool.problem is None else str(spool.problem),
            "problem_since": None if spool.problem is None else _moment(spool.problem_since),
        },
        "received": tally.received,
        "refused": dict(tally.refused),
        "carried": tally.carried,
        "dropped": dict(tally.dropped),
    }


def webhook_warnings(webhooks: Webhooks | None) -> list[str]:
    """Return what a person should look at."""
    found: list[str] = []
    if webhooks is None:
        return found
    if webhooks.spool.problem is not None:
        found.append(f"webhooks are refused since {_moment(webhooks.spool.problem_since)}: {webhooks.spool.problem}")
    if webhooks.carrying_problem is not None:
        found.append(f"spooled webhooks cannot be read: {webhooks.carrying_problem}")
    return found


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
