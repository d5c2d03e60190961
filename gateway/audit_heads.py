"""Tells the log where the audit trail ends: at start, and every hour.

Logs leave this machine. Whoever cuts records off the trail's end cannot cut them off there: any head in the log shows
it, with `jira-gateway audit verify --head`.
"""

import asyncio

import structlog

from gateway.store import Store, StoreError

log = structlog.get_logger()

INTERVAL_SECONDS = 3600.0


async def log_audit_heads(store: Store, *, interval: float = INTERVAL_SECONDS) -> None:
    """Log the head now and after each interval, until cancelled; a store that cannot be read is said once an hour."""
    while True:
        try:
            head = await store.audit_head()
            log.info("audit_head", count=head.count, mac=head.mac, head=str(head))
        except StoreError as error:
            log.warning("audit_head_unknown", reason=str(error))
        await asyncio.sleep(interval)
