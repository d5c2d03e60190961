"""The table of events: names that are checked before Jira sees them, and what each is worth."""

import pytest

from jira_api.events.names import KNOWN_EVENTS, UnknownEvent, check_events


def test_names_are_sorted_and_given_once():
    names = ["comment_created", " jira:issue_updated ", "comment_created", "jira:issue_created"]
    assert check_events(names) == ("comment_created", "jira:issue_created", "jira:issue_updated")
    assert check_events(iter(())) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("issue_created", "jira:issue_created"),
        ("jira:comment_created", "comment_created"),
        ("jira:issue_create", "jira:issue_created"),
        ("Comment_Created", "comment_created"),
        ("issue-updated", "jira:issue_updated"),
        ("version_relesed", "jira:version_released"),
        ("worklog_update", "worklog_updated"),
        ("sprint_stared", "sprint_started"),
        ("everything", None),
        ("", None),
        ("*", None),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(name, meant):
    with pytest.raises(UnknownEvent) as unknown:
        check_events(["comment_created", name])
    assert (unknown.value.name, unknown.value.suggestion) == (name, meant)
    assert ("did you mean" in str(unknown.value)) == (meant is not None)


def test_a_huge_name_is_refused_without_effort():
    with pytest.raises(UnknownEvent):
        check_events(["x" * 1_000_000])


def test_what_a_search_can_recover_is_related_to_issues():
    recoverable = {name for name, kind in KNOWN_EVENTS.items() if kind.recoverable}
    assert recoverable == {
        "jira:issue_created", "jira:issue_updated", "jira:worklog_updated", "comment_created", "comment_updated",
        "worklog_created", "worklog_updated",
    }  # fmt: skip
    assert all(KNOWN_EVENTS[name].issue_related for name in recoverable)


def test_filters_do_not_reach_projects_people_and_sprints():
    for name in ("sprint_started", "jira:version_released", "project_created", "user_created", "board_updated"):
        assert not KNOWN_EVENTS[name].issue_related, name
    assert KNOWN_EVENTS["comment_deleted"].issue_related


def test_every_event_has_a_check_box_of_its_own():
    boxes = [(kind.section, kind.group, kind.box) for kind in KNOWN_EVENTS.values()]
    assert len(set(boxes)) == len(boxes) == 45
