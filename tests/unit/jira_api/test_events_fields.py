"""What a Jira claims is read with bounds, and nothing that has no UTF-8 form gets through."""

import json

import pytest

from jira_api.events import fields
from jira_api.events.fields import MAX_VALUES, actor, event_name, identifier, label, line, load_json, member, members


@pytest.mark.parametrize(("value", "text"), [("10042", "10042"), (10042, "10042"), (0, "0"), ("OPS-1", "OPS-1")])
def test_an_id_is_the_same_as_number_and_as_text(value, text):
    assert identifier(value) == text


@pytest.mark.parametrize(
    "value", [None, True, False, -1, 1.0, 10**30, "", "x" * 256, "1/2", "1\n", "ä", "\ud800", "1 2", [1], {"id": 1}]
)
def test_what_is_no_id_is_none(value):
    assert identifier(value) is None


@pytest.mark.parametrize("value", [None, True, "", "x" * 65, "a b", "ä", "\ud800", "x\n", ["jira:issue_created"]])
def test_what_is_no_name_of_an_event_is_unknown(value):
    assert event_name(value) == "unknown"
    assert event_name("jira:issue_created") == "jira:issue_created"


def test_texts_are_cut_and_cleaned_where_people_read_them_and_refused_where_machines_do():
    assert label("Inés\ud800\u202e Ferro\n") == "Inés Ferro"
    assert label("x" * 1_000_000) == "x" * 255
    assert label("\n") is label("") is label(5) is None
    assert line("ines.ferro") == "ines.ferro"
    assert line("ines\nferro") is line("\ud800") is line("x" * 256) is line("") is line(5) is None


def test_an_actor_is_the_account_the_key_or_the_login_and_never_an_address():
    server = {"name": "ines.ferro", "key": "JIRAUSER10207", "emailAddress": "i@x", "displayName": "Inés"}
    assert actor(server) == {"id": "JIRAUSER10207", "name": "ines.ferro", "display_name": "Inés"}
    assert actor({**server, "accountId": "5f00"})["id"] == "5f00"
    assert actor({"name": "ines.ferro"}) == {"id": "ines.ferro", "name": "ines.ferro"}
    assert actor({"accountId": "557058:f5-a", "displayName": 7}) == {"id": "557058:f5-a"}
    assert actor({"displayName": "Inés"}) is actor("ines") is actor(None) is None


def test_objects_are_taken_from_objects_only():
    assert member({"a": {"b": 1}}, "a") == {"b": 1}
    assert member({"a": [1]}, "a") is member([], "a") is member(None, "a") is None
    assert members({"a": [{"b": 1}, 2, None]}, "a") == [{"b": 1}]
    assert members({"a": {"b": 1}}, "a") == members("a", "a") == []


def test_what_is_no_strict_number_becomes_null():
    read = load_json(b'{"a": NaN, "b": [Infinity, -Infinity, 1e999, 1.5], "c": 1}')
    assert read == {"a": None, "b": [None, None, None, 1.5], "c": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"a":' * 50_000, b"{'a': 1}"])
def test_what_cannot_be_read_is_one_sort_of_error(body):
    with pytest.raises(ValueError):
        load_json(body)


def test_what_is_written_is_ascii_that_reads_back():
    value = {"a": "Inés \ud800 \U0001f600", "b": [1, None]}
    assert fields.dump_json(value).isascii()
    assert json.loads(fields.dump_json(value)) == value


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'"x"'])
def test_a_body_that_is_nothing_but_values_is_not_read(value):
    dense = b"[" + b",".join([value] * (MAX_VALUES + 1)) + b"]"
    with pytest.raises(ValueError, match="too many values"):
        load_json(dense)


def test_ten_megabytes_of_issues_and_of_prose_are_read():
    prose = "As far as I can see, nobody has looked at the pump since. "
    issue = {"id": "10042", "self": "http://jira.test/rest/api/2/issue/10042", "fields": {"description": prose * 4}}
    listed = json.dumps([issue] * 34_000).encode()
    assert len(listed) > 10 << 20
    assert len(load_json(listed)) == 34_000
    assert load_json(json.dumps(prose * 180_000).encode()) == prose * 180_000
