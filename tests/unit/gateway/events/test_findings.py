"""What of a found issue is an event for which trigger: sure ones, doubtful ones, and each in its own window."""

from datetime import UTC, datetime, timedelta

from gateway.events.findings import Taker, findings
from gateway.store import Trigger
from gateway.triggers import TriggerEntry

T0 = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(minutes):
    return T0 + timedelta(minutes=minutes)


def text(minutes):
    return at(minutes).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def entry(*events, number=1):
    return TriggerEntry(Trigger(number, f"t{number}", "hq", frozenset(events), T0), secret=None)


def issue(updated=30, created=-600, histories=(), comments=(), worklogs=(), **more):
    def part(number, made, changed=None):
        return {"id": str(number), "created": text(made), "updated": text(made if changed is None else changed)}

    history = [{"id": str(n), "created": text(m), "items": [{"field": f}]} for n, m, f in histories]
    fields = {
        "created": text(created), "updated": text(updated),
        "comment": {"comments": [part(*one) for one in comments], "total": len(comments)},
        "worklog": {"worklogs": [part(*one) for one in worklogs], "total": len(worklogs)},
    }  # fmt: skip
    return {"id": "10", "key": "OPS-1", "fields": {**fields, **more}, "changelog": {"histories": history}}


def found(document, *takers, is_cloud=False):
    return sorted(
        (one.event.occurrence, one.type, *(trigger.id for trigger in one.triggers))
        for one in findings(document, takers, is_cloud=is_cloud)
    )


ALL = ("jira:issue_created", "jira:issue_updated", "comment_created", "worklog_created", "jira:worklog_updated")


def test_a_polled_trigger_gets_everything_once_under_its_best_name():
    document = issue(30, 10, [(5, 20, "summary")], [(6, 25)], [(7, 30)])
    assert found(document, Taker(entry(*ALL), T0, doubt_since=T0)) == [
        ("changelog/5", "jira:issue_updated", 1),
        ("comment-created/6", "comment_created", 1),
        ("issue-created/10", "jira:issue_created", 1),
        ("worklog-created/7", "worklog_created", 1),
    ]


def test_each_trigger_has_its_own_window_and_its_own_name_for_a_thing():
    document = issue(30, histories=[(5, 10, "summary")], comments=[(6, 25)])
    early = Taker(entry("jira:issue_updated", number=1), T0, doubt_since=T0)
    late = Taker(entry("comment_created", "jira:issue_updated", number=2), at(20), doubt_since=at(20))
    assert found(document, early, late) == [
        ("changelog/5", "jira:issue_updated", 1),
        ("comment-created/6", "comment_created", 2),
        ("comment-created/6", "jira:issue_updated", 1),
    ]


def test_until_is_the_end():
    document = issue(30, histories=[(5, 10, "summary"), (6, 20, "summary")])
    assert found(document, Taker(entry(*ALL), T0, at(20))) == [("changelog/5", "jira:issue_updated", 1)]


def test_what_may_have_had_no_webhook_does_not_count_in_routine():
    document = issue(30, histories=[(5, 20, "Link"), (6, 21, "timespent")], comments=[(7, 25)], worklogs=[(8, 26)])
    assert found(document, Taker(entry("jira:issue_updated", "jira:worklog_updated"), T0)) == []
    assert found(document, Taker(entry(*ALL), T0)) == [
        ("comment-created/7", "comment_created", 1),
        ("worklog-created/8", "worklog_created", 1),
    ]


def test_after_a_gap_it_counts_for_the_time_of_the_gap_only():
    document = issue(50, histories=[(5, 10, "Link"), (6, 30, "Link"), (7, 50, "Link"), (8, 10, "summary")])
    taker = Taker(entry("jira:issue_updated"), T0, None, at(20), at(40))
    assert found(document, taker) == [
        ("changelog/6", "jira:issue_updated", 1),
        ("changelog/8", "jira:issue_updated", 1),
    ]


def test_a_change_without_a_trace_is_one_when_nothing_explains_it():
    poll = Taker(entry("jira:issue_updated"), T0, doubt_since=T0)
    [(occurrence, kind, _)] = found(issue(30), poll)
    assert (occurrence.startswith("issue-updated/10/"), kind) == (True, "jira:issue_updated")
    assert found(issue(30), Taker(entry("jira:issue_updated"), T0)) == []
    assert found(issue(-1), poll) == []


def test_an_entry_of_the_history_just_before_the_window_explains_a_date_just_inside():
    document = issue(histories=[(5, 0, "summary")])
    document["fields"]["updated"] = (T0 + timedelta(milliseconds=40)).strftime("%Y-%m-%dT%H:%M:%S.040+0000")
    since = T0 + timedelta(milliseconds=20)
    assert found(document, Taker(entry("jira:issue_updated"), since, doubt_since=since)) == []


def test_of_an_issue_with_missing_comments_nobody_says_that_it_has_no_trace():
    document = issue(30, comment={"comments": [], "total": 3})
    assert found(document, Taker(entry("jira:issue_updated"), T0, doubt_since=T0)) == []


def test_cloud_has_no_second_event_for_a_comment():
    document = issue(30, comments=[(6, 25)])
    assert found(document, Taker(entry("jira:issue_updated"), T0, doubt_since=T0), is_cloud=True) == []
