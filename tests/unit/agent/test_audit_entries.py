"""Entries of the audit log: one line of ASCII whatever others sent, and no credentials from a path."""

import json

import pytest

from agent.audit_entries import MAX_NAME, MAX_PATH, NoteEntry, RequestEntry

AT = 1_700_000_000.25


def entry(**changes):
    fields = {
        "at": AT, "caller": b"ci", "request_id": b"r1", "connection": b"hq", "method": b"GET",
        "target": b"/rest/api/2/myself", "rule": "read-api", "outcome": "answered", "status": 200, "received": 1,
        "answered": 2, "seconds": 0.0123,
    }  # fmt: skip
    return RequestEntry(**(fields | changes))


def read(made):
    return json.loads("{" + made.body() + "}")


def test_an_entry_says_who_what_by_which_rule_and_what_became_of_it():
    assert read(entry()) == {
        "at": "2023-11-14T22:13:20.250Z", "kind": "request", "caller": "ci", "id": "r1", "connection": "hq",
        "method": "GET", "path": "/rest/api/2/myself", "rule": "read-api", "outcome": "answered", "status": 200,
        "received": 1, "answered": 2, "ms": 12.3,
    }  # fmt: skip
    assert read(entry(rule=None, status=0)) | {"rule": None, "status": None} == read(entry(rule=None, status=0))


@pytest.mark.parametrize("cut", [b"?os_password=hunter2", b";jsessionid=hunter2", b"#hunter2"])
def test_a_path_ends_where_credentials_may_begin(cut):
    assert read(entry(target=b"/rest/x" + cut))["path"] == "/rest/x"


@pytest.mark.parametrize("field", ["caller", "request_id", "connection", "method", "target"])
@pytest.mark.parametrize(
    "hostile",
    [b'"}\n{"n":1', b"\r\n", b"\x1b[2J\0", "\u2028\u202e".encode(), b"\xff\xfe", b'","kind":"deleted","x":"', bytes(range(256))],
)  # fmt: skip
def test_whatever_others_send_it_is_one_line_of_ascii_with_the_same_fields(field, hostile):
    body = entry(**{field: hostile}).body()
    assert body.isascii()
    assert body.isprintable()
    assert read(entry(**{field: hostile})).keys() == read(entry()).keys()
    assert '"kind":"deleted"' not in body


def test_an_entry_is_bounded_and_its_size_is_no_less_than_it_takes():
    huge = entry(caller=b"\0" * 60_000, target=b"/" * 60_000, method=b"\n" * 10_000)
    assert len(huge.body()) < 16 * (MAX_PATH + 3 * MAX_NAME)
    for made in (entry(), huge, NoteEntry(AT, "start", {"version": "1"})):
        assert len(made.body()) <= made.size


def test_a_note_is_an_object_too():
    assert read(NoteEntry(AT, "switch", {"reason": 'a"\n'})) == {
        "at": "2023-11-14T22:13:20.250Z",
        "kind": "switch",
        "reason": 'a"\n',
    }
