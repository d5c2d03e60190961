"""What a trigger's row says first: why nothing comes."""

from datetime import timedelta

import pytest

from gateway.operations.trigger_views import _Sight
from gateway.store import HookState, Kind, Watermark
from tests.support.subscriptions import NOW, make_hook, make_trigger

LATER = NOW + timedelta(minutes=1)
UNSIGNED = "it has no signature"


def problem(state=None, mark=None, **fields):
    states = {} if state is None else {1: state}
    marks = {} if mark is None else {mark.name: mark}
    return _Sight({1: make_hook()}, states, marks, {}, NOW).summary(make_trigger(**fields))["problem"]


def test_a_trigger_that_is_fine_has_none():
    assert problem() is None
    assert problem(HookState(1, last_event_at=NOW), Watermark("hook:1", NOW)) is None


def test_while_nothing_is_decided_the_reason_is_the_problem():
    assert problem(kind=None, hook=None, note="the JQL is wrong") == "the JQL is wrong"


def test_what_is_wrong_with_its_webhook_comes_before_what_is_wrong_with_a_search():
    mark = Watermark("hook:1", problem="the search failed")
    assert problem(HookState(1, problem="its filter was changed"), mark) == "its filter was changed"
    assert problem(mark=mark) == "the search failed"
    polled = Watermark("trigger:1", problem="the search failed")
    assert problem(HookState(1, problem="of another"), polled, kind=Kind.POLLED) == "the search failed"


@pytest.mark.parametrize(("last_event_at", "is_told"), [(None, True), (NOW - timedelta(hours=1), True), (LATER, False)])
def test_refused_webhooks_are_a_problem_until_one_is_taken(last_event_at, is_told):
    found = problem(HookState(1, refused_at=NOW, refused=UNSIGNED, last_event_at=last_event_at))
    assert (found is not None) is is_told
    assert not is_told or UNSIGNED in found
