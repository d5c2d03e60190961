"""`/audit`: the trail page by page, its head, and whether it is whole."""

import json
from dataclasses import asdict

from gateway.audit import AuditBroken, Head
from gateway.management import models
from gateway.management.office import Visit


async def list_page(visit: Visit) -> models.AuditPage:
    """Return one page of the trail."""
    query: models.AuditQuery = visit.query
    records = await visit.desk.store.audit_page(query.after, query.limit)
    items = [asdict(record) | {"detail": json.loads(record.detail)} for record in records]
    more = records[-1].seq if len(records) == query.limit else None
    return models.AuditPage.model_validate({"items": items, "next": more})


async def head(visit: Visit) -> models.AuditHead:
    """Return where the trail ends."""
    found = await visit.desk.store.audit_head()
    return models.AuditHead(count=found.count, mac=found.mac, head=str(found))


async def verify(visit: Visit) -> models.Verification:
    """Check the whole trail."""
    kept = Head.parse(visit.query.head) if visit.query.head else None
    try:
        found = await visit.desk.store.verify_audit(kept)
    except AuditBroken as broken:
        return models.Verification(ok=False, count=None, head=None, broken_at=broken.seq, problem=broken.problem)
    return models.Verification(ok=True, count=found.count, head=str(found), broken_at=None, problem=None)
