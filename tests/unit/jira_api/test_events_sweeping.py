"""What Jira's search is asked, and how its pages are read."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jira_api.events import sweeping
from jira_api.events.sweeping import (
    InvalidPage,
    comments_of,
    incomplete_parts,
    read_page,
    search,
    updated_since,
    with_comments,
    with_worklogs,
    worklogs_of,
)
from jira_api.server_info import ServerInfo

DATA = Path(__file__).parent / "data"
SERVER = ServerInfo("https://jira", "8.20.11", (8, 20, 11), "Server", "")
CLOUD = ServerInfo("https://site.atlassian.net", "1001.0.0-SNAPSHOT", (1001, 0, 0), "Cloud", "")
SINCE = datetime(2026, 8, 25, 3, 31, 57, tzinfo=UTC)
NOW = SINCE + timedelta(minutes=10)
CONDITION = 'updated >= "2026/08/25 05:31" ORDER BY updated ASC, key ASC'


def since(jql):
    return updated_since(jql, SINCE, "Europe/Berlin", NOW)


@pytest.mark.parametrize("jql", [None, "", "  ", "ORDER BY key", " order  by key, rank desc"])
def test_without_a_filter_every_changed_issue_is_asked_for(jql):
    assert since(jql) == CONDITION


@pytest.mark.parametrize(
    ("jql", "kept"),
    [
        ("project = OPS", "project = OPS"),
        ("project = OPS OR project = LAB", "project = OPS OR project = LAB"),
        ("project = OPS order by key", "project = OPS"),
        ("project = OPS\nOrDeR\t bY key DESC", "project = OPS"),
        ('summary ~ "order by" ORDER BY key', 'summary ~ "order by"'),
        ("summary ~ 'order by x'", "summary ~ 'order by x'"),
        (r'summary ~ "say \"order by\" x" order by key', r'summary ~ "say \"order by\" x"'),
        ("""summary ~ "it's" AND text ~ 'a "b' order by key""", """summary ~ "it's" AND text ~ 'a "b'"""),
        ('project="OPS"order by key', 'project="OPS"'),
        ("(labels in (a)) order by key", "(labels in (a))"),
        ("reorder by-line = 1", "reorder by-line = 1"),
        ("border by = 1", "border by = 1"),
    ],
)
def test_a_filter_keeps_its_meaning_and_loses_its_order(jql, kept):
    assert since(jql) == f"({kept}) AND {CONDITION}"


def test_an_unknown_zone_asks_relative_to_now():
    assert updated_since("project = OPS", SINCE, None, NOW) == (
        '(project = OPS) AND updated >= "-12m" ORDER BY updated ASC, key ASC'
    )


def test_server_pages_by_number_and_cloud_by_token():
    request = search(SERVER, "project = OPS", start=50)
    assert (request.method, request.target) == (b"POST", b"/rest/api/2/search")
    assert json.loads(request.body) == {
        "jql": "project = OPS", "startAt": 50, "maxResults": 50, "fields": ["*all"], "expand": ["changelog"],
    }  # fmt: skip
    request = search(CLOUD, "project = OPS", token="next", page=10)
    assert (request.method, request.target) == (b"POST", b"/rest/api/2/search/jql")
    assert json.loads(request.body) == {
        "jql": "project = OPS", "maxResults": 10, "fields": ["*all"], "expand": "changelog", "nextPageToken": "next",
    }  # fmt: skip
    assert "nextPageToken" not in json.loads(search(CLOUD, "x").body)


def test_the_parts_of_an_issue_are_asked_for_by_its_id():
    assert comments_of("10942") == (b"GET", b"/rest/api/2/issue/10942/comment?startAt=0&maxResults=1000", b"")
    assert worklogs_of("10942", 20).target == b"/rest/api/2/issue/10942/worklog?startAt=20&maxResults=1000"


def page(**document):
    return read_page(json.dumps(document).encode())


def test_real_pages_are_read():
    last = read_page((DATA / "search-response.json").read_bytes())
    assert ([issue["key"] for issue in last.issues], last.next_start, last.next_token) == (
        ["OPS-42", "OPS-43"],
        None,
        None,
    )
    more = read_page((DATA / "search-cloud-jql-response.json").read_bytes())
    assert ([issue["key"] for issue in more.issues], more.next_start) == (["CL-7"], None)
    assert more.next_token == "Q1dQX3BhZ2UyX2V4YW1wbGU"


def test_pages_end():
    issues = [{"id": 1}, {"id": 2}]
    assert page(issues=issues, startAt=50, total=60).next_start == 52
    assert page(issues=issues, startAt=50, total=52).next_start is None
    assert page(issues=[], startAt=50, total=60).next_start is None
    assert page(issues=issues, startAt=50).next_start is None
    assert page(issues=issues, startAt=True, total=60).next_start is None
    assert page(issues=issues, nextPageToken="t", isLast=True).next_token is None
    assert page(issues=issues, nextPageToken="t").next_token == "t"
    assert page(issues=issues, nextPageToken="t" * 5000).next_token is None
    assert page(issues=issues, nextPageToken=5).next_token is None


def test_issues_that_are_none_are_left_out_and_still_counted():
    read = page(issues=[1, None, {"key": "OPS-1"}, {"id": True}, {"id": 5}], startAt=0, total=9)
    assert (read.issues, read.next_start) == ([{"id": 5}], 5)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"issues":{}}', b"[" * 100_000, b'{"issues":null}'])
def test_what_is_no_page_is_refused(body):
    with pytest.raises(InvalidPage) as invalid:
        read_page(body)
    assert invalid.value.reason


def test_a_page_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(sweeping, "MAX_PAGE_BYTES", 20)
    with pytest.raises(InvalidPage, match="larger"):
        read_page(b'{"issues":[]}' + b" " * 20)


def test_numbers_that_no_strict_reader_takes_are_null():
    assert read_page(b'{"issues":[{"id":1,"x":NaN,"y":1e999}]}').issues == [{"id": 1, "x": None, "y": None}]


def issue_listing(comments=2, comment_total=2, worklogs=0, worklog_total=0):
    fields = {
        "comment": {"total": comment_total, "comments": [{"id": str(n)} for n in range(comments)]},
        "worklog": {"total": worklog_total, "worklogs": [{"id": str(n)} for n in range(worklogs)]},
    }
    return {"id": "1", "fields": fields}


def test_lists_that_are_cut_off_are_noticed():
    assert incomplete_parts(issue_listing()) == (False, False)
    assert incomplete_parts(issue_listing(comment_total=3)) == (True, False)
    assert incomplete_parts(issue_listing(worklogs=20, worklog_total=21)) == (False, True)
    for fields in (None, {}, {"comment": None}, {"comment": {"total": True}}, {"comment": {"total": "5"}}):
        assert incomplete_parts({"id": "1", "fields": fields}) == (False, False)
    assert incomplete_parts(json.loads((DATA / "issue.json").read_bytes())) == (False, False)


@pytest.mark.parametrize(("complete", "part"), [(with_comments, "comment"), (with_worklogs, "worklog")])
def test_pages_of_a_part_are_added_until_it_is_complete(complete, part):
    issue = issue_listing(comment_total=4, worklogs=2, worklog_total=4)
    flag = 0 if part == "comment" else 1
    once = complete(issue, json.dumps({"total": 4, f"{part}s": [{"id": 1, "new": True}, {"id": "2"}]}).encode())
    assert incomplete_parts(once)[flag]
    twice = complete(once, json.dumps({"total": 4, f"{part}s": [{"id": "3"}, {"id": None}, 5]}).encode())
    assert not incomplete_parts(twice)[flag]
    listed = twice["fields"][part][f"{part}s"]
    assert [str(one["id"]) for one in listed] == ["0", "1", "2", "3"]
    assert listed[1]["new"]
    assert len(issue["fields"][part][f"{part}s"]) == 2, "the issue that was given stays as it was"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"comments":{}}', b'{"total":5}'])
def test_what_is_no_list_of_comments_or_worklogs_is_refused(body):
    with pytest.raises(InvalidPage):
        with_comments(issue_listing(), body)
    with pytest.raises(InvalidPage):
        with_worklogs(issue_listing(), body)
