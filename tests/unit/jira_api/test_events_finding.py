"""Search results as events: what is in the window, and that webhooks of the same things have the same keys."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jira_api.events.finding import found_events
from jira_api.events.reading import read_event
from jira_api.events.times import parse_moment

DATA = Path(__file__).parent / "data"
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
CREATED = "2026-03-03T09:00:00.000+0100"


def data(name):
    return json.loads((DATA / f"{name}.json").read_bytes())


def at(minute, zone="+0000"):
    hour = {"+0000": 8, "+0100": 9, "-0330": 4}[zone]
    minute += 30 if zone == "-0330" else 0
    return f"2026-03-03T{hour + minute // 60:02}:{minute % 60:02}:00.000{zone}"


def moment(minute):
    return parse_moment(at(minute))


def issue_with(comments=(), worklogs=(), histories=(), updated=CREATED, **more):
    fields = {"created": CREATED, "updated": updated, "comment": {"comments": list(comments)}}
    fields["worklog"] = {"worklogs": list(worklogs)}
    return {"id": "1", "key": "OPS-1", "fields": {**fields, **more}, "changelog": {"histories": list(histories)}}


def keys(issue, since, until=None):
    return [event.occurrence for event in found_events(issue, since, until)]


def real_issue():
    issue = data("issue")
    history = {"id": "15104", "created": "2026-03-03T10:02:45.120+0100", "author": issue["fields"]["assignee"]}
    issue["changelog"] = {"histories": [{**history, "items": data("webhook-issue-updated")["changelog"]["items"]}]}
    issue["fields"]["worklog"] = {"total": 1, "worklogs": [data("worklog")]}
    return issue


def test_a_real_issue_gives_the_keys_of_its_real_webhooks():
    found = {(event.occurrence, kind) for event in found_events(real_issue(), ALWAYS) for kind in event.types}
    for name in ("issue-created", "issue-created-with-changelog", "issue-updated", "issue-commented",
                 "comment-created-server"):  # fmt: skip
        read = read_event((DATA / f"webhook-{name}.json").read_bytes())
        assert (read.occurrence, read.type) in found, name


def test_an_edited_comment_and_worklog_have_the_keys_of_their_webhooks():
    issue = data("issue")
    for part in ("comment", "worklog"):
        webhook = data("webhook-comment-updated-server" if part == "comment" else "webhook-worklog-updated")
        one = {**webhook[part], "created": "2026-03-01T00:00:00.000+0100"}
        issue["fields"][part] = {f"{part}s": [one]}
        since = parse_moment(one["updated"])
        found = {(event.occurrence, kind) for event in found_events(issue, since) for kind in event.types}
        read = read_event(json.dumps({**webhook, part: one}).encode())
        assert (read.occurrence, read.type) in found


def test_cloud_gives_the_keys_of_its_webhooks():
    comment = data("webhook-comment-created-cloud")
    update = data("webhook-issue-updated-cloud")
    history = {"id": 40001, "created": "2026-03-03T10:02:45.000+0100", "items": update["changelog"]["items"]}
    issue = {**comment["issue"], "changelog": {"histories": [history]}}
    issue["fields"] = {**issue["fields"], "comment": {"comments": [comment["comment"]]}}
    assert keys(issue, ALWAYS) == ["changelog/40001", "comment-created/30001"]
    assert read_event(json.dumps(comment).encode()).occurrence == "comment-created/30001"
    assert read_event(json.dumps(update).encode()).occurrence == "changelog/40001"


def test_the_window_holds_its_beginning_and_not_its_end():
    issue = issue_with(histories=[{"id": n, "created": at(n)} for n in (5, 6, 7)])
    assert keys(issue, moment(5), moment(7)) == ["changelog/5", "changelog/6"]
    assert keys(issue, moment(7)) == ["changelog/7"]
    assert keys(issue, moment(8)) == []
    assert keys(issue, moment(0), moment(1)) == ["issue-created/1"]


def test_dates_are_compared_as_instants_whatever_their_zones():
    histories = [{"id": n, "created": at(5 + n, zone)} for n, zone in enumerate(("+0000", "+0100", "-0330"))]
    assert keys(issue_with(histories=histories), moment(6), moment(7)) == ["changelog/1"]
    assert keys(issue_with(histories=histories), moment(7)) == ["changelog/2"]


@pytest.mark.parametrize("part", ["comment", "worklog"])
def test_a_comment_or_worklog_is_new_edited_or_both(part):
    issue = issue_with(**{f"{part}s": [{"id": 9, "created": at(5), "updated": at(8, "+0100")}]})
    updated_ms = 1772525280000
    assert keys(issue, moment(5)) == [f"{part}-created/9", f"{part}-updated/9/{updated_ms}"]
    assert keys(issue, moment(5), moment(8)) == [f"{part}-created/9"]
    assert keys(issue, moment(6)) == [f"{part}-updated/9/{updated_ms}"]
    assert keys(issue, moment(9)) == []
    never_edited = {"id": 9, "created": at(5), "updated": at(5, "-0330")}
    assert keys(issue_with(**{f"{part}s": [never_edited]}), moment(5)) == [f"{part}-created/9"]


def test_types_say_which_webhooks_would_have_come():
    issue = issue_with(
        comments=[{"id": 9, "created": at(5), "updated": at(6)}],
        worklogs=[{"id": 8, "created": at(7), "updated": at(8)}],
    )
    assert [event.types for event in found_events(issue, moment(1))] == [
        ("comment_created", "jira:issue_updated"),
        ("comment_updated", "jira:issue_updated"),
        ("worklog_created", "jira:worklog_updated"),
        ("worklog_updated", "jira:worklog_updated"),
    ]


def test_a_change_without_any_trace_is_found_by_the_date_of_the_issue():
    assert keys(issue_with(updated=at(9)), moment(5)) == ["issue-updated/1/1772525340000"]
    assert keys(issue_with(updated=at(9)), moment(5), moment(9)) == []
    traced = issue_with(updated=at(9), histories=[{"id": 3, "created": at(9)}])
    assert keys(traced, moment(5)) == ["changelog/3"]


def test_events_come_in_the_order_of_their_moments():
    histories = [{"id": 2, "created": at(9)}, {"id": 11, "created": at(5)}, {"id": 10, "created": at(7)}]
    comments = [{"id": 1, "created": at(8), "updated": at(8)}]
    expected = ["issue-created/1", "changelog/11", "changelog/10", "comment-created/1", "changelog/2"]
    assert keys(issue_with(histories=histories, comments=comments), ALWAYS) == expected


def test_the_payload_has_the_shape_of_the_webhook():
    for event in found_events(real_issue(), ALWAYS):
        for kind in event.types:
            payload = json.loads(event.payload(kind))
            read = read_event(event.payload(kind))
            assert payload["webhookEvent"] == kind
            assert payload["issue"]["key"] == "OPS-42"
            assert payload["issue"]["fields"]["summary"] == "Replace the valve in hall 3"
            assert set(payload) <= {
                "timestamp", "webhookEvent", "issue_event_type_name", "user", "issue", "changelog", "comment", "worklog",
            }  # fmt: skip
            assert "changelog" not in payload["issue"]
            assert (read.type, read.occurrence, read.occurred_at) == (kind, event.occurrence, event.occurred_at)
            assert (read.issue_id, read.issue_key, read.actor) == (event.issue_id, event.issue_key, event.actor)


def test_only_events_of_issues_carry_all_comments_and_the_name_of_their_sort():
    event = next(event for event in found_events(real_issue(), ALWAYS) if event.occurrence == "comment-created/12500")
    small, whole = json.loads(event.payload("comment_created")), json.loads(event.payload("jira:issue_updated"))
    assert small["comment"] == whole["comment"] == real_issue()["fields"]["comment"]["comments"][0]
    assert whole["issue_event_type_name"] == "issue_commented"
    assert "issue_event_type_name" not in small
    assert whole["issue"]["fields"] == real_issue()["fields"]
    assert set(whole["issue"]["fields"]) - set(small["issue"]["fields"]) == {"comment", "worklog"}


def test_what_happened_is_said_to_be_done_by_whom_it_was():
    who = {name: {"name": name} for name in ("creator", "author", "editor")}
    comment = {"id": 1, "created": at(5), "updated": at(6), "author": who["author"], "updateAuthor": who["editor"]}
    issue = issue_with(comments=[comment], creator=who["creator"], reporter={"name": "reporter"})
    assert [event.actor["id"] for event in found_events(issue, ALWAYS)] == ["creator", "author", "editor"]
    bare = found_events(issue_with(updated=at(9)), moment(5))[0]
    assert bare.actor is None
    assert "user" not in json.loads(bare.payload("jira:issue_updated"))


@pytest.mark.parametrize("junk", [None, True, -1, 1.5, "x", "\ud800", [], {}, [{}], [[]], [None], 10**30])
def test_junk_in_a_search_result_is_left_out(junk):
    assert found_events({"id": junk}, ALWAYS) == []
    for issue in (
        {"id": "1", "key": junk, "fields": junk, "changelog": junk},
        issue_with(comments=[junk], worklogs=[junk], histories=[junk], creator=junk),
        {"id": "1", "fields": {"created": junk, "updated": junk, "comment": junk, "worklog": {"worklogs": junk}}},
        issue_with(comments=[{"id": junk, "created": at(5)}], histories=[{"id": junk, "created": at(5)}]),
        issue_with(comments=[{"id": 1, "created": junk, "updated": junk, "author": junk, "updateAuthor": junk}]),
        issue_with(histories=[{"id": 1, "created": at(5), "items": junk, "author": junk}]),
    ):
        for event in found_events(issue, ALWAYS):
            assert event.occurrence.isascii()
            for kind in event.types:
                json.loads(event.payload(kind))


def test_an_issue_with_thousands_of_comments_is_written_as_json_once():
    comments = [{"id": n, "created": at(5), "updated": at(5), "body": "x" * 100} for n in range(2000)]
    events = found_events(issue_with(comments=comments), moment(5))
    assert len(events) == 2000
    source = events[0].payload.func.__self__
    assert len({id(event.payload.func.__self__) for event in events}) == 1
    assert source._whole_issue is source._whole_issue
    assert len(events[7].payload("comment_created")) < 600


def test_a_moment_that_was_missed_by_a_millisecond_is_not_in_the_window():
    issue = issue_with(histories=[{"id": 1, "created": at(5)}])
    assert keys(issue, moment(5) + timedelta(milliseconds=1)) == []
