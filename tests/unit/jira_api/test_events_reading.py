"""Webhooks of every shape, as Jira sends them and as nobody should."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jira_api.events.reading import JiraEvent, read_event

DATA = Path(__file__).parent / "data"
INES = {"id": "JIRAUSER10207", "name": "ines.ferro", "display_name": "Inés Ferro"}
OMAR = {"id": "omar.haddad", "name": "omar.haddad", "display_name": "Omar Haddad"}
INES_ON_CLOUD = {"id": "5f00aa11bb22cc33dd44ee66", "display_name": "Inés Ferro"}
DEEP = 100_000


def event_of(**document):
    return read_event(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("name", "event", "occurrence", "issue", "who"),
    [
        ("issue-created", "jira:issue_created", "issue-created/10942", ("10942", "OPS-42"), INES),
        ("issue-created-with-changelog", "jira:issue_created", "issue-created/10942", ("10942", "OPS-42"), INES),
        ("issue-updated", "jira:issue_updated", "changelog/15104", ("10942", "OPS-42"), OMAR),
        ("issue-updated-cloud", "jira:issue_updated", "changelog/40001", ("20007", "CL-7"), INES_ON_CLOUD),
        ("issue-commented", "jira:issue_updated", "comment-created/12500", ("10942", "OPS-42"), INES),
        ("issue-deleted", "jira:issue_deleted", "issue-deleted/10942", ("10942", "OPS-42"), INES),
        ("comment-created-server", "comment_created", "comment-created/12500", ("10942", None), INES),
        ("comment-created-cloud", "comment_created", "comment-created/30001", ("20007", "CL-7"), INES_ON_CLOUD),
        ("comment-updated-server", "comment_updated", "comment-updated/12500/1772528999000", ("10942", None), INES),
        ("comment-deleted-server", "comment_deleted", "comment-deleted/12500", ("10942", None), INES),
        ("worklog-updated", "worklog_updated", "worklog-updated/13001/1772637611907", ("10942", None), OMAR),
        ("attachment-created", "attachment_created", "attachment_created/11301/1772528401000", (None, None), INES),
        ("sprint-started", "sprint_started", "sprint_started/7/1772434800000", (None, None), None),
        ("version-released", "jira:version_released", "jira:version_released/10500/1772638000000", (None, None), None),
        ("project-created", "project_created", "project_created/10102/1772500000000", (None, None), None),
    ],
)
def test_webhooks_as_jira_sends_them(name, event, occurrence, issue, who):
    body = (DATA / f"webhook-{name}.json").read_bytes()
    stamp = json.loads(body)["timestamp"] / 1000
    read = read_event(body)
    assert read == JiraEvent(event, occurrence, read.occurred_at, *issue, who)
    assert read.occurred_at.timestamp() == stamp


def test_an_old_server_leaves_out_what_sort_of_update_it_was():
    document = json.loads((DATA / "webhook-issue-commented.json").read_bytes())
    del document["issue_event_type_name"]
    assert event_of(**document).occurrence == "comment-created/12500"


def test_an_empty_body_still_says_by_whom():
    read = read_event(b"", query="user_id=ines.ferro&user_key=JIRAUSER10207")
    assert read == JiraEvent("unknown", None, actor={"id": "JIRAUSER10207", "name": "ines.ferro"})
    assert read_event(b"", query="issue=OPS-42&user_id=In%C3%A9s+F").actor == {"id": "Inés F", "name": "Inés F"}
    assert read_event(b"", query="user_key=K").actor == {"id": "K"}


@pytest.mark.parametrize(
    "query", ["", "user_id", "user_id=&user_key=", "user_id=%0a", "user_id=%ff%00", "a" * 5000, "&&&=", "\ud800"]
)
def test_a_query_that_names_nobody_names_nobody(query):
    assert read_event(b"", query=query).actor is None


def test_the_body_says_by_whom_before_the_query_does():
    comment = {"id": 1, "author": {"name": "author"}, "updateAuthor": {"name": "editor"}}
    query = "user_id=query"
    for document, who in (
        ({"webhookEvent": "comment_created", "comment": comment}, "author"),
        ({"webhookEvent": "comment_updated", "comment": comment}, "editor"),
        ({"webhookEvent": "comment_deleted", "comment": comment}, "query"),
        ({"webhookEvent": "comment_deleted", "comment": comment, "user": {"name": "user"}}, "user"),
        ({"webhookEvent": "user_updated", "user": {"name": "changed"}}, "query"),
        ({"webhookEvent": "jira:issue_updated", "user": "text"}, "query"),
    ):
        assert read_event(json.dumps(document).encode(), query=query).actor == {"id": who, "name": who}


def test_the_issue_of_a_comment_is_in_its_link_and_of_a_worklog_beside_it():
    link = "https://jira/rest/api/2/issue/10942/comment/1"
    assert event_of(webhookEvent="comment_created", comment={"id": 1, "self": link}).issue_id == "10942"
    assert event_of(webhookEvent="worklog_created", worklog={"id": 1, "issueId": 10942}).issue_id == "10942"
    assert event_of(issue={"id": 5, "key": "A-1"}, comment={"self": link}).issue_id == "5"
    for wrong in ("https://jira/rest/api/2/20007", "x" * 10_000 + link, 5, None, [link]):
        assert event_of(webhookEvent="comment_created", comment={"id": 1, "self": wrong}).issue_id is None


def test_without_a_timestamp_the_moment_is_that_of_the_object():
    updated = "2026-03-04T16:20:11.907+0100"
    moment = datetime(2026, 3, 4, 15, 20, 11, 907000, tzinfo=UTC)
    assert event_of(comment={"updated": updated}).occurred_at == moment
    assert event_of(issue={"fields": {"updated": updated}}).occurred_at == moment
    assert event_of(issue={"fields": []}, timestamp="1772637611907").occurred_at is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"webhookEvent":' * DEEP + b"1" + b"}" * DEEP,
        b"1" * 10_000,
        b'{"timestamp":' + b"9" * 5000 + b"}",
        b"\xff\xfe\x00\xd8",
        b'\xef\xbb\xbf{"a"',
        b'{"webhookEvent":"x"',
        b"<html>",
        b"\x00" * 100,
    ],
)
def test_a_body_that_cannot_be_read_is_an_event_that_nobody_knows(body):
    read = read_event(body)
    assert read.type == "unknown"
    assert read.occurrence.startswith("body/")


@pytest.mark.parametrize(
    "junk", [None, True, -1, 1.5, "x", "\ud800", [], {}, [{}], 10**4000, "x" * 100_000, float("nan")]
)
def test_junk_in_any_place_is_nothing_and_fails_nothing(junk):
    document = json.loads((DATA / "webhook-issue-commented.json").read_bytes())
    document["worklog"] = {"id": "1", "issueId": "2", "updated": "x"}
    for name in document:
        read_event(json.dumps({**document, name: junk}).encode())
        for inner in document[name] if isinstance(document[name], dict) else ():
            for event in ("jira:issue_updated", "jira:issue_created", "comment_updated", "worklog_updated"):
                changed = {**document, "webhookEvent": event, name: {**document[name], inner: junk}}
                read = read_event(json.dumps(changed).encode())
                assert read.type == event
                assert len(read.occurrence) < 600
                assert read.occurrence.isascii()


def test_numbers_that_are_none_and_keys_that_come_twice_fail_nothing():
    body = b'{"webhookEvent":"a","webhookEvent":"sprint_started","timestamp":5,"sprint":{"id":7,"x":NaN,"y":1e999}}'
    assert read_event(body).occurrence == "sprint_started/7/5"
    assert read_event(body.replace(b":5,", b":NaN,")).occurred_at is None


def test_ten_mebibytes_are_read():
    padding = "x" * (10 * 1024 * 1024)
    read = event_of(webhookEvent="jira:issue_created", timestamp=5, issue={"id": "1", "key": padding, "self": padding})
    assert (read.occurrence, read.issue_key) == ("issue-created/1", None)
