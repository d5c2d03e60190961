"""Jira's answers are read as they come, and a strange one is no answer."""

import json

import pytest

from jira_api.permissions import account as read
from jira_api.permissions.account import Grant, Role

READERS = [
    read.read_user, read.read_permissions, read.read_transitions, read.read_is_done, read.read_fields,
    read.read_create_types, read.read_levels, read.read_has_attachments, read.read_scheme, read.read_role,
]  # fmt: skip


def body(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("strange", [b"", b"<html>", b"[]", b"null", b"{}", b'{"permissions":3,"levels":"x","name":1}'])
def test_what_cannot_be_read_is_none(reader, strange):
    assert reader(strange) is None


def test_roles_of_nothing_are_none_at_all():
    assert read.read_roles(b"<html>") == {}


def test_the_account_is_read_with_its_groups():
    user = read.read_user(
        body({
            "name": "svc.bridge", "displayName": "Bridge",
            "groups": {"size": 1, "items": [{"name": "developers"}]},
            "applicationRoles": {"size": 0, "items": []},
        })
    )  # fmt: skip
    assert (user.name, user.groups, user.applications) == ("svc.bridge", frozenset({"developers"}), frozenset())


def test_cloud_tells_the_number_of_groups_and_no_names():
    user = read.read_user(body({"accountId": "5f", "groups": {"size": 2, "items": []}}))
    assert (user.name, user.groups, user.applications) == ("5f", None, None)


def test_permissions_are_found_by_either_spelling():
    rows = {"BROWSE": {"name": "Browse", "havePermission": True}, "EDIT_ISSUES": {"havePermission": "yes"}, "X": None}
    found = read.read_permissions(body({"permissions": rows}))
    assert found.find("BROWSE_PROJECTS").is_held
    assert found.find("BROWSE_PROJECTS").key == "BROWSE"
    assert not found.find("EDIT_ISSUES").is_held
    assert found.find("X") is None
    assert found.legacy("BROWSE_PROJECTS") == "BROWSE"
    assert found.legacy("EDIT_ISSUES") is None
    assert repr(found) == "<Permissions 1 of 2>"


def test_transitions_tell_where_they_lead():
    rows = [
        {"id": "21", "name": "Stop", "to": {"statusCategory": {"key": "new"}}},
        {"id": "31", "name": "Finish", "to": {"statusCategory": {"key": "done"}}},
        {"id": "41", "name": "Odd"},
    ]
    found = read.read_transitions(body({"transitions": rows}))
    assert [(row.name, row.is_done) for row in found] == [("Stop", False), ("Finish", True), ("Odd", False)]
    assert read.read_is_done(body({"fields": {"status": {"statusCategory": {"key": "done"}}}})) is True
    assert read.read_is_done(body({"fields": {}})) is None


def test_both_forms_of_createmeta_are_counted():
    assert read.read_create_types(body({"projects": []})) == 0
    assert read.read_create_types(body({"projects": [{"issuetypes": [{}, {}]}]})) == 2
    assert read.read_create_types(body({"values": [{}]})) == 1
    assert read.read_create_types(body({"issueTypes": [{}, {}, {}]})) == 3


def test_a_scheme_is_read_with_its_holders():
    rows = [
        {"permission": "CLOSE_ISSUES", "holder": {"type": "projectRole", "parameter": "10110"}},
        {"permission": "COMMENT_ISSUE", "holder": {"type": "applicationRole"}},
    ]
    scheme = read.read_scheme(body({"name": "Plant", "permissions": rows}))
    assert scheme.holders("CLOSE_ISSUES") == [Grant("CLOSE_ISSUES", "projectRole", "10110")]
    assert scheme.holders("ADD_COMMENTS") == [Grant("COMMENT_ISSUE", "applicationRole", "")]
    assert scheme.holders("EDIT_ISSUES") == []


def test_roles_are_known_by_id_before_their_members_are():
    roles = read.read_roles(body({"roles": {"QA": "https://jira/rest/api/2/project/1/role/10110"}}))
    assert roles == {"10110": Role("QA", None)}
    actors = [
        {"type": "atlassian-group-role-actor", "name": "qa-team"},
        {"type": "atlassian-user-role-actor", "displayName": "Omar"},
    ]
    assert read.read_role(body({"name": "QA", "actors": actors})) == Role("QA", ("group qa-team", "Omar"))
    assert read.read_role(body({"name": "QA"})) is None


def test_small_answers():
    assert read.read_fields(body({"fields": {"summary": {}}})) == frozenset({"summary"})
    assert read.read_levels(body({"levels": [{"name": "Internal"}]})) == ("Internal",)
    assert read.read_has_attachments(body({"enabled": False})) is False
