"""Requests before anybody sends them."""

import pytest

from jira_api.events.requesting import JiraRequest, get, send


def test_a_question_has_no_body():
    assert get("/rest/api/2/myself") == JiraRequest(b"GET", b"/rest/api/2/myself", b"")


def test_a_document_is_sent_as_compact_ascii():
    assert send(b"PUT", "/x/1", {"a": "ü", "b": None}) == (b"PUT", b"/x/1", b'{"a":"\\u00fc","b":null}')


def test_a_target_is_ascii():
    with pytest.raises(UnicodeEncodeError):
        get("/rest/ü")
