"""The memory of recent answers: bounded, one connection's own, without secrets; and what it explains."""

from datetime import UTC, datetime

import pytest

from gateway.errors import JIRA_TIMEOUT, POLICY_DENIED, UNAUTHENTICATED, Problem, Processed, Source
from gateway.explain import (
    NotRemembered,
    RecentAnswers,
    Remembered,
    explain,
    explain_command,
    from_jira,
    is_worth_remembering,
)
from jira_api.logins import LoginVerdict
from runtime.exits import DENIED, CommandFailed
from tunnel.heads import ResponseHead

NOW = datetime(2026, 3, 3, 8, tzinfo=UTC)


def request(request_id="r-1", connection="hq", method="GET", path="/rest/api/2/issue/OPS-1", **fields):
    return Remembered(request_id, connection, "ci", method, path, fields.pop("status", 0), NOW, **fields)


def head(status, *headers, login=None):
    meta = {b"jira-us": b"12"} | ({b"jira-login": login} if login else {})
    return ResponseHead(status, [(name.encode(), value.encode()) for name, value in headers], 0, meta)


def remembering(*entries, limit=10):
    recent = RecentAnswers(limit)
    for entry in entries:
        recent.add(entry)
    return recent


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        (head(200), False), (head(204), False), (head(200, login=b"ok"), False), (head(200, login=b"anonymous"), True),
        (head(302), True), (head(404), True), (head(500), True),
    ],
)  # fmt: skip
def test_only_what_somebody_could_ask_about_is_kept(answer, worth):
    assert is_worth_remembering(answer) is worth


def test_the_memory_is_bounded_and_the_oldest_goes_first():
    recent = remembering(*(request(f"r-{number}") for number in range(5)), limit=3)
    assert len(recent) == 3
    assert repr(recent) == "<RecentAnswers 3 of 3>"
    assert recent.find("hq", "r-1") is None
    assert recent.find("hq", "r-4") is not None


def test_the_last_word_on_a_request_counts():
    recent = remembering(request(status=404), request(status=0, problem=Problem(JIRA_TIMEOUT, "late")))
    assert len(recent) == 1
    assert explain(recent, "hq", "r-1")["cause"] == "jira_timeout"


def test_another_connections_request_stays_unknown():
    recent = remembering(request(connection="other"))
    with pytest.raises(NotRemembered) as nothing:
        explain(recent, "hq", "r-1")
    assert (nothing.value.connection, nothing.value.request_id) == ("hq", "r-1")


def test_of_the_headers_only_the_signs_of_the_login_are_kept():
    answer = head(
        403,
        ("X-Seraph-LoginReason", "AUTHENTICATION_DENIED"),
        ("X-AUSERNAME", "anonymous"),
        ("Set-Cookie", "canary"),
        ("X-Other", "canary"),
        ("Location", "https://jira/login.jsp?os_destination=canary"),
        ("Content-Type", "x" * 1000),
    )
    kept = from_jira(answer, request())
    assert set(kept.headers) == {"X-Seraph-LoginReason", "X-AUSERNAME", "Location", "Content-Type"}
    assert "canary" not in str(kept)
    assert len(kept.headers["Content-Type"]) == 200
    assert (kept.status, kept.login) == (403, LoginVerdict.CAPTCHA)


def test_the_agents_verdict_on_the_login_outweighs_our_own():
    kept = from_jira(head(401, ("X-AUSERNAME", "anonymous"), login=b"token_expired"), request())
    assert kept.login is LoginVerdict.TOKEN_EXPIRED


def test_jiras_answer_is_explained_with_evidence_and_the_next_step():
    kept = from_jira(head(403, ("X-AUSERNAME", "svc.bridge")), request())
    result = explain(remembering(kept), "hq", "r-1")
    assert (result["cause"], result["answered_by"], result["status"]) == ("issue_invisible", "jira", 403)
    assert result["evidence"] == ["GET /rest/api/2/issue/OPS-1 -> 403", "login: ok", "X-AUSERNAME: svc.bridge"]
    assert result["next"] == "jira-gateway connections permissions hq --issue OPS-1 --need see_issue"
    assert result["at"] == "2026-03-03T08:00:00+00:00"


def test_a_project_is_asked_about_by_its_key():
    kept = from_jira(head(404, ("X-AUSERNAME", "svc.bridge")), request(path="/rest/api/2/project/HID"))
    assert explain(remembering(kept), "hq", "r-1")["next"].endswith("--project HID --need see_project")


@pytest.mark.parametrize("slug", [POLICY_DENIED, UNAUTHENTICATED, JIRA_TIMEOUT])
def test_our_own_answers_are_explained_by_their_message(slug):
    problem = Problem(slug, "Because.", Source.AGENT, Processed.NO)
    result = explain(remembering(request(status=slug.status, problem=problem)), "hq", "r-1")
    assert (result["cause"], result["text"], result["answered_by"]) == (slug.name, "Because.", "agent")
    assert result["action"]
    assert f"Tunnel-Error: {slug.name}" in result["evidence"]


async def test_what_is_not_remembered_is_one_line_for_the_command():
    with pytest.raises(CommandFailed) as failed:
        await explain_command({"name": "hq", "request_id": "gone"}, RecentAnswers())
    assert failed.value.status == DENIED
    assert "gone" in failed.value.line
