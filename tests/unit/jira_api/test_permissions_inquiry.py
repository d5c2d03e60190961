"""What is asked, and that nothing gets into a path that is no key."""

import pytest

from http1.target import parse_target
from jira_api.permissions import inquiry
from jira_api.permissions.inquiry import InvalidSubject, Subject, keys_to_ask, read_needs, read_subject
from jira_api.server_info import ServerInfo


def server(*numbers, deployment="Server"):
    return ServerInfo("https://jira", ".".join(map(str, numbers)), numbers, deployment, "")


def test_an_issue_names_its_project():
    assert read_subject(None, "OPS-42") == Subject("OPS", "OPS-42")
    assert read_subject("HID", "OPS-42") == Subject("HID", "OPS-42")
    assert read_subject(None, "10042") == Subject(None, "10042")
    assert read_subject("", "") == read_subject(None, None) == Subject()


@pytest.mark.parametrize("key", ["../x", "OPS/1", "O PS", "OPS?x=1", "OPS&y", "%4f", "Ä", "1A", "OPS\n", "A" * 300])
def test_what_is_no_key_never_becomes_a_path(key):
    with pytest.raises(InvalidSubject) as invalid:
        read_subject(key, None)
    assert (invalid.value.what, invalid.value.value) == ("project", key)
    with pytest.raises(InvalidSubject):
        read_subject(None, key + "-1")


def test_needs_are_a_list_without_repeats():
    assert read_needs(" CREATE_ISSUES, transition,,CREATE_ISSUES ") == ("CREATE_ISSUES", "transition")
    assert read_needs("") == ()
    with pytest.raises(InvalidSubject):
        read_needs("CREATE_ISSUES&x=1")


def test_the_permissions_parameter_is_always_sent_with_current_keys():
    target = inquiry.my_permissions(keys_to_ask(["CREATE_ISSUE", "SERVICEDESK_AGENT", "comment"]), issue="OPS-42")
    path, _, query = target.decode().partition("?")
    sent = dict(part.split("=") for part in query.split("&"))
    keys = sent["permissions"].split(",")
    assert path == "/rest/api/2/mypermissions"
    assert sent["issueKey"] == "OPS-42"
    assert {"CREATE_ISSUES", "SERVICEDESK_AGENT", "MANAGE_SPRINTS_PERMISSION", "ADMINISTER"} <= set(keys)
    assert "CREATE_ISSUE" not in keys
    assert "COMMENT" not in keys
    assert "MANAGE_SPRINTS_PERMISSION" not in inquiry.CORE
    assert len(target) < 4096


def test_ids_are_asked_for_as_ids():
    assert b"issueId=10042" in inquiry.my_permissions(["X"], issue="10042")
    assert b"projectId=10100" in inquiry.my_permissions(["X"], project="10100")
    assert b"projectKey=OPS" in inquiry.my_permissions(["X"], project="OPS")
    assert inquiry.my_permissions(["X"]).endswith(b"permissions=X")


@pytest.mark.parametrize(
    ("info", "is_paged"),
    [
        (server(7, 13, 0), False), (server(8, 3, 4), False), (server(8, 4, 0), True), (server(9, 12, 5), True),
        (server(10, 3, 19), True), (server(1001, 0, 0, deployment="Cloud"), True), (None, True), (server(), True),
    ],
)  # fmt: skip
def test_createmeta_is_asked_in_the_form_that_the_version_has(info, is_paged):
    assert (b"/createmeta/OPS/issuetypes" in inquiry.create_types("OPS", info)) is is_paged
    assert b"10100" in inquiry.create_types("10100", info)


def test_every_request_passes_the_canonicaliser():
    for ask in (inquiry.project_itself, inquiry.project_scheme, inquiry.security_scheme, inquiry.security_levels):
        assert parse_target(ask("OPS")).path.startswith("/rest/api/2/project/OPS")
    for ask in (inquiry.issue_itself, inquiry.transitions, inquiry.edit_fields):
        assert parse_target(ask("OPS-1")).path.startswith("/rest/api/2/issue/OPS-1")
    assert parse_target(inquiry.project_role("OPS", "10001")).path.endswith("/role/10001")
