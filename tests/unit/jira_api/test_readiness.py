"""What the body of /status means."""

import pytest

from jira_api.readiness import JiraState, read_state


@pytest.mark.parametrize("name", ["STARTING", "STOPPING", "FIRST_RUN", "MAINTENANCE", "ERROR"])
def test_a_state_other_than_running_is_not_ready_whatever_the_status_code(name):
    state = read_state(b'{"state":"%b"}' % name.encode())

    assert state.name == name
    assert f"(state {name})" in state.problem


@pytest.mark.parametrize("body", [b'{"state":"RUNNING"}', b'{"state":"DANCING"}'])
def test_running_and_what_is_not_known_are_no_problem(body):
    assert read_state(body).problem is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"state":7}', b'{"status":"x"}', b"[" * 100_000, b'{"state":"%b"}' % (b"x" * 99)]
)
def test_an_answer_that_is_none_of_jiras_says_nothing(body):
    assert read_state(body) == JiraState(None)
