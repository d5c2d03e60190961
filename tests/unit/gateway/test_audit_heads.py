"""The head of the audit trail goes to the log at start and at every interval."""

import asyncio

from structlog.testing import capture_logs

from gateway.audit import Head
from gateway.audit_heads import log_audit_heads
from gateway.store import StoreUnavailable


class Trail:
    """Stands for the store; ends the watch when its answers run out."""

    def __init__(self, *answers):
        self._answers = list(answers)

    async def audit_head(self):
        if not self._answers:
            raise EndOfTest
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class EndOfTest(Exception):
    pass


async def watch(*answers):
    with capture_logs() as logs:
        try:
            async with asyncio.timeout(5):
                await log_audit_heads(Trail(*answers), interval=0)
        except EndOfTest:
            return logs
    raise AssertionError


async def test_the_log_has_count_and_mac_as_audit_verify_takes_them():
    heads = Head(), Head(2, "ab" * 32)
    logs = await watch(*heads)
    assert [entry["event"] for entry in logs] == ["audit_head", "audit_head"]
    assert [Head.parse(entry["head"]) for entry in logs] == list(heads)
    assert (logs[1]["count"], logs[1]["mac"]) == (2, "ab" * 32)


async def test_a_store_that_cannot_be_read_does_not_end_the_watch():
    logs = await watch(StoreUnavailable("gateway.db", "disk full"), Head(1, "cd" * 32))
    assert [entry["event"] for entry in logs] == ["audit_head_unknown", "audit_head"]
