"""What the gateway finds by itself is kept for sure, or not said to be."""

from datetime import UTC, datetime

import pytest

from gateway.events.keeping import keep_events
from gateway.store import NewEvent, StoreError

EVENT = NewEvent("hq", "changelog/1", "jira:issue_updated", datetime(2026, 11, 26, tzinfo=UTC), (1,))


class FakeLog:
    """A log that answers each offer at once with what it was made for."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.is_full = False
        self.problem = None
        self.offered = 0

    def offer(self, event, done):
        self.offered += 1
        done(self.answers.pop(0))
        return True


async def test_the_new_deliveries_of_each_event_are_returned():
    assert await keep_events(FakeLog(["a"], []), [EVENT, EVENT]) == [["a"], []]


async def test_one_that_is_not_written_is_an_error_for_all():
    with pytest.raises(StoreError):
        await keep_events(FakeLog(["a"], None), [EVENT, EVENT])


async def test_while_more_waits_than_may_be_kept_nothing_is_added():
    events = FakeLog()
    events.is_full = True
    with pytest.raises(StoreError, match="JIRA_GATEWAY_EVENTS_MAX_BYTES"):
        await keep_events(events, [EVENT])
    assert events.offered == 0
