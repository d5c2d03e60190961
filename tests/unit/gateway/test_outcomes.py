"""Outcomes: counted, logged when they are ours, and never with anything that may be secret."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.errors import INTERNAL, POLICY_DENIED, UNAUTHENTICATED, Problem, Source
from gateway.outcomes import OutcomeLog
from http1.messages import NO_BODY, RequestHead
from http1.target import parse_target
from tunnel.heads import ResponseHead

CANARY = b"canary"
NOW = datetime(2026, 3, 3, tzinfo=UTC)


def forward():
    request = RequestHead(b"POST", b"/jira/hq/x?q=" + CANARY, [(b"Authorization", CANARY)], NO_BODY)
    return SimpleNamespace(
        request_id="r-1",
        started_at=1.0,
        sent_at=1.25,
        answered_at=3.0,
        jira_us=b"1000000",
        exchange=SimpleNamespace(request=request, peer="192.0.2.7"),
        admission=SimpleNamespace(
            grant=SimpleNamespace(name="ci"),
            route=SimpleNamespace(name="hq", agent="site"),
            target=parse_target(b"/" + b"x" * 500 + b"?q=" + CANARY),
        ),
    )


def test_jiras_answers_are_counted_by_status_and_not_logged_above_debug():
    outcomes = OutcomeLog()
    with capture_logs() as lines:
        outcomes.finished(forward(), 200, None)
        outcomes.finished(forward(), 404, None)
    assert outcomes.by_status == {200: 1, 404: 1}
    assert not outcomes.by_slug
    assert {line["log_level"] for line in lines} <= {"debug"}


def test_a_caller_that_left_before_an_answer_is_no_status():
    outcomes = OutcomeLog()
    outcomes.finished(forward(), 0, None)
    assert (outcomes.hung_up, dict(outcomes.by_status)) == (1, {})


@pytest.mark.parametrize(("slug", "level"), [(POLICY_DENIED, "warning"), (INTERNAL, "error")])
def test_our_answers_are_logged_with_who_what_and_why(slug, level):
    outcomes = OutcomeLog()
    with capture_logs() as lines:
        outcomes.finished(forward(), slug.status, Problem(slug, "because", Source.AGENT))
    [line] = [line for line in lines if line["event"] == "request_failed"]

    assert line["log_level"] == level
    assert (line["request_id"], line["caller"], line["connection"], line["agent"]) == ("r-1", "ci", "hq", "site")
    assert (line["error"], line["source"], line["processed"], line["reason"]) == (slug.name, "agent", "no", "because")
    assert len(line["path"]) == 200
    assert "canary" not in str(lines)
    assert outcomes.by_slug == {slug.name: 1}


def test_what_was_refused_at_the_door_is_counted_and_logged_without_secrets():
    outcomes = OutcomeLog()
    head = forward().exchange.request
    with capture_logs() as lines:
        outcomes.refused("10.0.0.1", head, Problem(UNAUTHENTICATED, "no token"), "r-2", caller="")
        outcomes.refused("10.0.0.1", None, Problem(UNAUTHENTICATED, "no token"), "r-3", caller="")

    assert (lines[0]["peer"], lines[0]["method"], lines[0]["path"]) == ("10.0.0.1", "POST", "/jira/hq/x")
    assert (lines[1]["method"], lines[1]["path"]) == ("", "")
    assert "canary" not in str(lines)
    assert (outcomes.by_status[401], outcomes.by_slug["unauthenticated"]) == (2, 2)


def test_it_shows_its_counts():
    outcomes = OutcomeLog()
    outcomes.finished(forward(), 200, None)
    assert repr(outcomes) == "<OutcomeLog 1 answers, 0 ours>"


def test_only_answers_that_somebody_could_ask_about_are_remembered():
    outcomes = OutcomeLog(lambda: NOW)
    outcomes.answered(forward(), ResponseHead(200, [], 0, {}))
    assert len(outcomes.recent) == 0
    outcomes.answered(forward(), ResponseHead(404, [(b"X-AUSERNAME", b"bot"), (b"Set-Cookie", CANARY)], 0, {}))
    remembered = outcomes.recent.find("hq", "r-1")
    assert (remembered.status, remembered.method, remembered.caller, remembered.at) == (404, "POST", "ci", NOW)
    assert len(remembered.path) == 200
    assert "canary" not in str(remembered)


def test_our_own_answers_are_remembered_wherever_they_were_given():
    outcomes = OutcomeLog(lambda: NOW)
    problem = Problem(POLICY_DENIED, "no rule", Source.AGENT)
    head = forward().exchange.request
    with capture_logs():
        outcomes.finished(forward(), 403, problem)
        outcomes.refused("10.0.0.1", head, Problem(UNAUTHENTICATED, "no"), "r-2", caller="ci")
        outcomes.refused("10.0.0.1", head, Problem(UNAUTHENTICATED, "no"), "r-3", caller="")
        outcomes.refused("10.0.0.1", None, Problem(UNAUTHENTICATED, "no"), "r-4", caller="ci")
    assert outcomes.recent.find("hq", "r-1").problem is problem
    refused = outcomes.recent.find("hq", "r-2")
    assert (refused.path, refused.status) == ("/x", 401)
    assert "canary" not in str(refused)
    assert len(outcomes.recent) == 2, "a stranger fills no memory"


@pytest.mark.parametrize("before", [b"", b"/jira/hq", b"http://gateway.example", b"/"])
def test_no_log_has_the_id_of_a_hook_whatever_is_wrong_with_the_request(before):
    outcomes = OutcomeLog()
    request = RequestHead(b"POST", before + b"/hooks/" + CANARY + b"&user_id=ines", [], NO_BODY)
    with capture_logs() as lines:
        outcomes.refused("192.0.2.7", request, Problem(UNAUTHENTICATED, "because"), "r-1", caller="ci")
    [line] = lines
    assert line["path"] == (before + b"/hooks/").decode()
    assert CANARY.decode() not in str(lines)
