"""The documented table of keys, line by line."""

import hashlib
import json

import pytest

from jira_api.events.occurrences import of_bytes, of_identifier
from jira_api.events.reading import read_event

DATES = {"created": "2026-03-03T10:02:45.000+0100", "updated": "2026-03-03T10:02:45.000+0100"}
EDITED = {**DATES, "updated": "2026-03-03T10:09:59.000+0100"}
UPDATED_MS = 1772528999000
ISSUE = {"id": "10942", "key": "OPS-42"}
UPDATE = {"webhookEvent": "jira:issue_updated", "timestamp": 7, "issue": ISSUE}


def key(**document):
    return read_event(json.dumps(document).encode()).occurrence


def update(**more):
    return key(**UPDATE, **more)


@pytest.mark.parametrize("number", ["12500", 12500])
def test_a_comment_is_one_thing_in_both_of_its_webhooks(number):
    new, edited = {"id": number, **DATES}, {"id": number, **EDITED}
    assert key(webhookEvent="comment_created", comment=new) == "comment-created/12500"
    assert update(issue_event_type_name="issue_commented", comment=edited) == "comment-created/12500"
    assert update(comment=new) == "comment-created/12500"
    assert key(webhookEvent="comment_updated", comment=edited) == f"comment-updated/12500/{UPDATED_MS}"
    assert update(issue_event_type_name="issue_comment_edited", comment=edited) == f"comment-updated/12500/{UPDATED_MS}"
    assert key(webhookEvent="comment_deleted", comment=new) == "comment-deleted/12500"
    assert update(issue_event_type_name="issue_comment_deleted", comment=new) == "comment-deleted/12500"


def test_worklogs_have_keys_like_comments():
    for event, expected in (
        ("worklog_created", "worklog-created/13001"),
        ("worklog_updated", f"worklog-updated/13001/{UPDATED_MS}"),
        ("worklog_deleted", "worklog-deleted/13001"),
    ):
        assert key(webhookEvent=event, timestamp=7, worklog={"id": 13001, **EDITED}) == expected


def test_a_worklog_in_the_event_of_server_needs_a_name_of_what_was_done():
    event = {"webhookEvent": "jira:worklog_updated", "timestamp": 7, "issue": ISSUE, "worklog": {"id": 1, **EDITED}}
    assert key(**event) == "worklog_updated/10942/7"
    assert key(**event, issue_event_type_name="issue_work_logged") == "worklog-created/1"
    assert key(**event, issue_event_type_name="issue_worklog_updated") == f"worklog-updated/1/{UPDATED_MS}"
    assert key(**event, issue_event_type_name="issue_worklog_deleted") == "worklog-deleted/1"
    assert key(**event, issue_event_type_name="issue_commented") == "worklog_updated/10942/7"


def test_an_entry_of_the_history_comes_before_everything_else():
    more = {"changelog": {"id": "15104", "items": []}, "comment": {"id": "12500", **DATES}}
    assert update(**more) == "changelog/15104"
    assert update(**more, issue_event_type_name="issue_commented") == "changelog/15104"
    assert update(changelog={"id": 15104}) == "changelog/15104"


def test_an_issue_is_created_and_deleted_once_whatever_else_the_body_says():
    for more in ({}, {"changelog": {"id": "1"}}, {"issue_event_type_name": "issue_created"}, {"timestamp": 9}):
        assert key(webhookEvent="jira:issue_created", issue=ISSUE, **more) == "issue-created/10942"
        assert key(webhookEvent="jira:issue_deleted", issue=ISSUE, **more) == "issue-deleted/10942"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"issue_event_type_name": "issue_generic"},
        {"issue_event_type_name": ["issue_commented"]},
        {"changelog": {"items": []}},
        {"changelog": []},
        {"comment": {"id": "12500", **EDITED}},  # neither new nor said to be edited
        {"comment": {"id": "12500"}},
        {"comment": {"id": None, **DATES}},
        {"comment": {"id": "12500", **DATES}, "issue_event_type_name": "custom"},
        {"comment": {"id": "12500"}, "issue_event_type_name": "issue_comment_edited"},
    ],
)
def test_any_other_update_is_told_apart_by_its_moment(more):
    assert update(**more) == "issue_updated/10942/7"


@pytest.mark.parametrize(
    ("event", "more", "expected"),
    [
        ("sprint_started", {"sprint": {"id": 7}}, "sprint_started/7/5"),
        ("jira:version_released", {"version": {"id": "10500"}}, "jira:version_released/10500/5"),
        ("project_created", {"project": {"id": 10102, "key": "LAB"}}, "project_created/10102/5"),
        ("user_created", {"user": {"key": "JIRAUSER1", "name": "x"}}, "user_created/JIRAUSER1/5"),
        ("user_deleted", {"user": {"name": "Jörg/A b@x"}}, "user_deleted/J%C3%B6rg%2FA%20b@x/5"),
        ("board_configuration_changed", {"board": {"name": "Plant"}}, "board_configuration_changed/Plant/5"),
        ("issuelink_created", {"issueLink": {"id": 9}}, "issuelink_created/9/5"),
        ("attachment_created", {"attachment": {"id": "11301"}}, "attachment_created/11301/5"),
        ("option_voting_changed", {"property": {"key": "jira.option.voting"}},
         "option_voting_changed/jira.option.voting/5"),
        ("comment_updated", {"comment": {"id": "1"}}, "comment_updated/1/5"),
    ],
)  # fmt: skip
def test_other_events_are_told_apart_by_object_and_moment(event, more, expected):
    assert key(webhookEvent=event, timestamp=5, **more) == expected


@pytest.mark.parametrize(
    "document",
    [
        {"webhookEvent": "sprint_started", "sprint": {"id": 7}},
        {"webhookEvent": "sprint_started", "timestamp": 5},
        {"webhookEvent": "sprint_started", "timestamp": True, "sprint": {"id": 7}},
        {"webhookEvent": "sprint_started", "timestamp": 5, "sprint": {"id": True}},
        {"webhookEvent": "sprint_started", "timestamp": 5, "sprint": {"name": "ä" * 200}},
        {"webhookEvent": "issue_property_set", "timestamp": 5, "issue": ISSUE, "property": {"key": "a"}},
        {"webhookEvent": "jira:issue_created", "timestamp": 5},
        {"webhookEvent": "jira:issue_updated", "issue": ISSUE},
        {"webhookEvent": 5},
        {},
        [],
        "text",
        None,
    ],
)
def test_a_body_that_says_too_little_is_its_own_key(document):
    body = json.dumps(document).encode()
    assert read_event(body, identifier="a-b").occurrence == f"body/{hashlib.sha256(body).hexdigest()[:32]}"


def test_without_a_readable_body_jiras_identifier_is_the_key():
    assert read_event(b"", identifier="9d0e3c52-6a0f").occurrence == "identifier/9d0e3c52-6a0f"
    assert read_event(b"{", identifier="9d0e3c52-6a0f").occurrence == "identifier/9d0e3c52-6a0f"
    assert read_event(b"{").occurrence == of_bytes(b"{")
    assert read_event(b"").occurrence is read_event(b" \r\n").occurrence is None


@pytest.mark.parametrize("text", [None, "", "x" * 129, "a/b", "a\n", "ä", "\ud800", "a b"])
def test_an_identifier_that_is_none_counts_as_absent(text):
    assert of_identifier(text) is None
    assert read_event(b"", identifier=text).occurrence is None
