"""The judgement: every situation of docs/facts.md J3, in the order in which Jira itself refuses."""

import pytest

from jira_api.logins import LoginVerdict
from jira_api.permissions.account import Account, JiraUser, Permission, Permissions, Sight, Transition
from jira_api.permissions.actions import ACTIONS, find_action
from jira_api.permissions.inquiry import KEYS, Subject
from jira_api.permissions.judgement import Cause, State, judge, judge_all, judge_need
from jira_api.server_info import ServerInfo

PROJECT, ISSUE, ANYWHERE = Subject("OPS"), Subject("OPS", "OPS-42"), Subject()
USER = JiraUser("svc.bridge", "Bridge", frozenset({"developers"}), frozenset({"jira-software"}))
CLOUD = ServerInfo("https://x.atlassian.net", "1001", (1001,), "Cloud", "")


def permissions(*, held=KEYS, without=(), unlisted=()):
    return Permissions({key: Permission(key, key, key in held and key not in without) for key in KEYS - {*unlisted}})


def account(**values):
    everything = permissions()
    known = {
        "login": LoginVerdict.OK, "user": USER, "anywhere": everything, "in_project": everything,
        "in_issue": everything, "project": Sight.VISIBLE, "issue": Sight.VISIBLE,
    }  # fmt: skip
    return Account(**{**known, **values})


def verdict(slug, known, subject=ISSUE):
    finding = judge(find_action(slug), known, subject)
    return finding.state, finding.cause


@pytest.mark.parametrize("subject", [PROJECT, ISSUE, ANYWHERE])
def test_who_holds_everything_may_do_everything(subject):
    assert {finding.state for _, finding in judge_all(account(), subject)} == {State.ALLOWED}


@pytest.mark.parametrize("subject", [PROJECT, ISSUE, ANYWHERE])
def test_who_holds_nothing_may_do_nothing(subject):
    nothing = permissions(held=())
    known = account(anywhere=nothing, in_project=nothing, in_issue=nothing)
    causes = {(finding.state, finding.cause) for _, finding in judge_all(known, subject)}
    assert causes == {(State.DENIED, Cause.NO_GRANT), (State.DENIED, Cause.GLOBAL_PERMISSION)}


def test_nothing_is_known_without_a_login():
    for login, cause in ((LoginVerdict.CAPTCHA, Cause.LOGIN), (None, Cause.NOT_TOLD)):
        known = account(login=login, user=None)
        assert {(row.state, row.cause) for _, row in judge_all(known, ISSUE)} == {(State.UNKNOWN, cause)}


def test_without_application_access_nothing_is_possible():
    known = account(login=LoginVerdict.NO_APPLICATION_ACCESS, user=None)
    assert verdict("find_users", known) == verdict("comment", known) == (State.DENIED, Cause.APPLICATION_ACCESS)


def test_a_project_that_does_not_show_denies_everything_in_it():
    known = account(project=Sight.GONE, in_project=None, in_issue=None)
    assert verdict("create", known) == verdict("comment", known) == (State.DENIED, Cause.NO_BROWSE)
    assert verdict("webhooks", known) == (State.ALLOWED, Cause.GRANTED)
    nobody = JiraUser("x", "x", frozenset(), frozenset())
    assert verdict("create", account(project=Sight.GONE, user=nobody))[1] is Cause.APPLICATION_ACCESS


def test_an_issue_that_does_not_show_in_its_project_has_a_level():
    known = account(issue=Sight.HIDDEN, in_issue=None)
    assert verdict("see_issue", known) == verdict("comment", known) == (State.DENIED, Cause.SECURITY_LEVEL)
    assert verdict("create", known) == (State.ALLOWED, Cause.GRANTED)
    assert verdict("comment", account(issue=Sight.GONE, in_issue=None))[1] is Cause.SECURITY_LEVEL
    known = account(issue=Sight.HIDDEN, project=Sight.UNKNOWN, in_issue=None)
    assert verdict("comment", known) == (State.DENIED, Cause.NO_BROWSE)


def test_a_missing_issue_is_nobodys_fault():
    assert verdict("comment", account(issue=Sight.MISSING)) == (State.UNKNOWN, Cause.ISSUE_MISSING)


def test_granted_in_the_project_and_not_on_the_issue_depends_on_the_issue():
    known = account(in_issue=permissions(without={"EDIT_ISSUES"}))
    assert verdict("edit", known) == (State.DENIED, Cause.ISSUE_DEPENDENT)
    known = account(in_issue=permissions(without={"EDIT_ISSUES"}), in_project=permissions(without={"EDIT_ISSUES"}))
    assert verdict("edit", known) == (State.DENIED, Cause.NO_GRANT)


def test_one_of_the_alternatives_is_enough_and_all_of_the_rest_is_needed():
    own = account(in_issue=permissions(without={"EDIT_ALL_COMMENTS"}))
    assert verdict("edit_comment", own)[0] is State.ALLOWED
    system = account(in_project=permissions(without={"ADMINISTER"}))
    assert verdict("webhooks", system)[0] is State.ALLOWED
    missing = judge(find_action("due_date"), account(in_issue=permissions(without={"EDIT_ISSUES"})), ISSUE)
    assert (missing.state, missing.missing) == (State.DENIED, ("EDIT_ISSUES",))


def test_an_unknown_alternative_leaves_the_question_open():
    known = account(in_issue=permissions(without={"EDIT_ALL_COMMENTS"}, unlisted={"EDIT_OWN_COMMENTS"}))
    assert verdict("edit_comment", known) == (State.UNKNOWN, Cause.NOT_TOLD)


def test_what_is_surely_missing_outweighs_what_is_unknown():
    known = account(in_issue=permissions(without={"EDIT_ISSUES"}, unlisted={"SCHEDULE_ISSUES"}))
    assert verdict("rank", known)[0] is State.DENIED


def test_an_app_that_is_not_there_denies_on_premise_and_leaves_cloud_open():
    without = permissions(unlisted={"MANAGE_SPRINTS_PERMISSION"})
    assert verdict("sprints", account(in_project=without, in_issue=without)) == (State.DENIED, Cause.APP_MISSING)
    known = account(in_project=without, in_issue=without, server=CLOUD)
    assert verdict("sprints", known) == (State.UNKNOWN, Cause.NOT_TOLD)
    assert verdict("sprints", account(in_project=None, in_issue=None)) == (State.UNKNOWN, Cause.NOT_TOLD)


def test_the_workflow_has_the_last_word_on_transitions():
    assert verdict("transition", account(transitions=[])) == (State.DENIED, Cause.WORKFLOW)
    assert verdict("transition", account(transitions=None)) == (State.ALLOWED, Cause.GRANTED)
    denied = account(transitions=[], in_issue=permissions(without={"TRANSITION_ISSUES"}))
    assert verdict("transition", denied)[1] is Cause.ISSUE_DEPENDENT


def test_closing_and_reopening_are_what_leads_to_done_and_back():
    stop, finish = Transition("21", "Stop", is_done=False), Transition("31", "Finish", is_done=True)
    lacking = permissions(without={"CLOSE_ISSUES"})
    cases = (
        (False, [stop], State.DENIED), (False, [stop, finish], State.ALLOWED), (True, [finish], State.DENIED),
        (True, [stop], State.ALLOWED), (None, [stop], State.ALLOWED),
    )  # fmt: skip
    for is_done, offered, state in cases:
        assert verdict("close", account(is_done=is_done, transitions=offered))[0] is state
    unasked = account(is_done=False, transitions=[finish], in_issue=lacking)
    assert verdict("close", unasked) == (State.ALLOWED, Cause.GRANTED), "this workflow does not ask for it"


def test_screens_and_switches_add_what_permissions_do_not_say():
    assert verdict("edit", account(edit_fields=frozenset())) == (State.DENIED, Cause.NOT_EDITABLE)
    fields = frozenset({"summary"})
    assert verdict("reporter", account(edit_fields=fields)) == (State.ALLOWED, Cause.FIELD_NOT_ON_SCREEN)
    assert verdict("reporter", account(edit_fields=fields | {"reporter"})) == (State.ALLOWED, Cause.GRANTED)
    assert verdict("attach", account(has_attachments=False)) == (State.DENIED, Cause.SWITCHED_OFF)
    assert verdict("security", account(levels=())) == (State.DENIED, Cause.NO_LEVEL)
    assert verdict("create", account(create_types=0)) == (State.DENIED, Cause.NO_ISSUE_TYPE)
    assert verdict("attach", account(has_attachments=False, in_issue=permissions(held=())))[1] is Cause.ISSUE_DEPENDENT


@pytest.mark.parametrize(
    ("need", "state"),
    [
        ("EDIT_ISSUES", State.DENIED), ("EDIT_ISSUE", State.DENIED), ("edit", State.DENIED), ("EDIT", State.DENIED),
        ("CREATE_ISSUES", State.ALLOWED), ("ADMINISTER", State.ALLOWED), ("log-work", State.ALLOWED),
        ("SERVICEDESK_AGENT", State.DENIED), ("NO_SUCH_KEY", State.UNKNOWN),
    ],
)  # fmt: skip
def test_a_need_is_a_key_or_an_action(need, state):
    known = account(in_issue=permissions(without={"EDIT_ISSUES"}))
    assert judge_need(need, known, ISSUE).state is state


def test_needs_about_the_project_do_not_fail_with_the_issue():
    known = account(issue=Sight.HIDDEN, in_issue=None)
    assert judge_need("CREATE_ISSUES", known, ISSUE).state is State.ALLOWED
    assert judge_need("ADD_COMMENTS", known, ISSUE).cause is Cause.SECURITY_LEVEL


def test_a_number_alone_names_no_project_and_is_judged_by_the_issue():
    known = account(in_project=None, project=Sight.UNKNOWN)
    assert {judge(action, known, Subject(None, "10042")).state for action in ACTIONS} == {State.ALLOWED}
