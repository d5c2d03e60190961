"""The table of actions is complete and consistent, and its document is current."""

import pytest

from jira_api.permissions.actions import (
    ACTIONS,
    GLOBAL_PERMISSIONS,
    LEGACY,
    MODERN,
    Scope,
    find_action,
    modern,
)
from tests.support.fake_jira.profiles import fixture
from tests.support.permission_tables import DOCUMENT, document

LISTED = fixture("mypermissions-server-admin", "")["permissions"]


def test_every_row_of_the_facts_is_there():
    assert len(ACTIONS) == 31
    assert len({action.slug for action in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.slug)
def test_a_row_names_permissions_that_jira_knows(action):
    for key in action.permissions:
        assert key in LISTED
        assert LISTED[key]["type"] == ("GLOBAL" if key in GLOBAL_PERMISSIONS else "PROJECT")
    assert (action.scope is Scope.GLOBAL) == (action.any_of[0] in GLOBAL_PERMISSIONS)
    assert action.denial
    assert bool(action.calls) == bool(action.denied)


def test_legacy_keys_are_those_that_jira_marks():
    deprecated = {key for key, row in LISTED.items() if row.get("deprecatedKey")}
    assert deprecated <= set(LEGACY.values())
    for current, old in LEGACY.items():
        if old in LISTED:
            assert LISTED[old]["id"] == LISTED[current]["id"]
    assert len(MODERN) == len(LEGACY)


def test_keys_and_slugs_are_found_as_people_write_them():
    assert modern("create_issue") == modern(" CREATE_ISSUES ") == "CREATE_ISSUES"
    assert modern("SERVICEDESK_AGENT") == "SERVICEDESK_AGENT"
    assert find_action("Log-Work") is find_action("log_work")
    assert find_action("CREATE_ISSUES") is None


def test_the_document_is_current():
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "make docs"
