"""The access log: one whole line per request, whatever strangers put into it, and nothing that may be secret."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access_log import AccessLog, Visit, shown_path
from gateway.errors import FORBIDDEN, REQUEST_TIMEOUT, TUNNEL_LOST, Problem, Processed
from gateway.outcomes import OutcomeLog
from http1.messages import NO_BODY, RequestHead
from http1.target import parse_target
from tests.support.fake_link import FakeExchange, agent_link

NOW = datetime(2026, 11, 26, 12, 0, 0, 7000, tzinfo=UTC)
CANARY = b"canary"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = (b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())


def forward(target=b"/rest/api/2/myself?q=" + CANARY, *, link=None, exchange=None, headers=(), **fields):
    made = {
        "request_id": "r-1",
        "exchange": exchange or FakeExchange(b"GET", target, [(b"Authorization", CANARY)]),
        "link": link,
        "started_at": 100.0,
        "sent_at": 0.0,
        "answered_at": 0.0,
        "jira_us": b"",
        "has_hung_up": False,
        "admission": SimpleNamespace(
            grant=SimpleNamespace(name="ci"),
            route=SimpleNamespace(name="hq", agent="site"),
            headers=[(b"Cookie", CANARY), *headers],
            target=parse_target(target),
        ),
    }
    return SimpleNamespace(**(made | fields))


@pytest.fixture
def lines():
    return []


@pytest.fixture
def log(lines, monkeypatch):
    monkeypatch.setattr("gateway.access_log.perf_counter", lambda: 100.5)
    return AccessLog(lines.append, lambda: NOW)


def read(lines):
    [line] = lines
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return json.loads(line)


def test_a_line_says_who_what_how_and_where_the_time_went(log, lines):
    link = agent_link("site", "i7")
    link.number = 4
    told = forward(link=link, sent_at=100.01, answered_at=100.4, jira_us=b"300000", headers=[TRACEPARENT])
    told.exchange.received, told.exchange.sent = 12, 3456
    log.forwarded(told, 200, None)

    assert read(lines) == {
        "timestamp": "2026-11-26T12:00:00.007Z", "level": "info", "event": "request", "request_id": "r-1",
        "caller": "ci", "peer": "10.9.9.9", "connection": "hq", "agent": "site", "instance": "i7", "link": 4,
        "method": "GET", "path": "/rest/api/2/myself", "status": 200, "outcome": "answered", "bytes_in": 12,
        "bytes_out": 3456, "queue_ms": 10.0, "tunnel_ms": 90.0, "jira_ms": 300.0, "total_ms": 500.0, "trace_id": TRACE,
    }  # fmt: skip


@pytest.mark.parametrize("jira_us", [b"", b"x", b"-5", b"9" * 40])
def test_an_agent_that_measures_nonsense_breaks_no_line(log, lines, jira_us):
    log.forwarded(forward(link=agent_link(), sent_at=100.0, answered_at=100.1, jira_us=jira_us), 200, None)
    assert read(lines)["jira_ms"] == 0.0


def test_a_direct_request_says_so_and_one_that_found_no_way_says_nothing(log, lines):
    log.forwarded(forward(link=SimpleNamespace(label="")), 200, None)
    assert read(lines)["agent"] == "direct"
    lines.clear()
    log.forwarded(forward(), 503, Problem(TUNNEL_LOST, "gone"))
    assert "agent" not in read(lines)
    assert read(lines)["queue_ms"] == read(lines)["total_ms"] == 500.0


def test_the_outcome_tells_answers_from_what_became_of_them(log, lines):
    log.forwarded(forward(), 200, Problem(TUNNEL_LOST, "gone", processed=Processed.UNKNOWN))
    log.forwarded(forward(has_hung_up=True), 0, None)
    log.forwarded(forward(has_hung_up=True), 200, None)
    told = [json.loads(line) for line in lines]
    assert [(line["status"], line["outcome"]) for line in told] == [
        (200, "tunnel_lost"),
        (0, "hung_up"),
        (200, "hung_up"),
    ]
    assert (told[0]["source"], told[0]["processed"]) == ("gateway", "unknown")


def test_a_request_that_was_refused_has_its_reason_and_no_secret(log, lines):
    request = RequestHead(b"POST", b"/jira/hq/x?os_password=" + CANARY, [(b"Cookie", CANARY), TRACEPARENT], NO_BODY)
    exchange = FakeExchange(b"POST")
    exchange.sent = 99
    log.told(Visit("r-2", "10.0.0.1", request, 403, "ci", problem=Problem(FORBIDDEN, 'no "x"'), exchange=exchange))
    line = read(lines)
    assert (line["path"], line["status"], line["outcome"], line["reason"]) == ("/jira/hq/x", 403, "forbidden", 'no "x"')
    assert (line["caller"], line["bytes_out"], line["trace_id"]) == ("ci", 99, TRACE)
    assert "canary" not in lines[0]


def test_a_request_that_breaks_http_on_its_way_is_one_line_with_both_ids(log, lines):
    told = forward(link=agent_link())
    told.exchange.is_rejected = True
    log.forwarded(told, 0, None)
    assert lines == []
    log.told(Visit("r-9", "10.9.9.9", told.exchange.request, 408, problem=Problem(REQUEST_TIMEOUT, "late")))
    line = read(lines)
    assert (line["request_id"], line["also"], line["caller"]) == ("r-1", "r-9", "ci")
    assert (line["status"], line["outcome"]) == (408, "request_timeout")


def test_another_request_is_not_taken_for_the_one_that_broke(log, lines):
    told = forward()
    told.exchange.is_rejected = True
    log.forwarded(told, 0, None)
    log.told(Visit("r-9", "10.9.9.9", RequestHead(b"GET", b"/", [], NO_BODY), 404))
    assert read(lines)["request_id"] == "r-9"


@pytest.mark.parametrize("path", [b"/hooks/canary", b"/jira/hq/hooks/canary&user=x", b"/a/hooks/canary/hooks/canary"])
def test_no_line_has_the_id_of_a_hook(log, lines, path):
    log.told(Visit("r", "p", RequestHead(b"POST", path, [], NO_BODY), 404))
    log.forwarded(forward(path), 404, None)
    assert all("canary" not in line for line in lines)
    assert all(json.loads(line)["path"].endswith("/hooks/") for line in lines)


HOSTILE = [
    b'/a"b\\c', b"/\x1b]0;owned\x07\x1b[2J", b"/\xff\xfe\x00", b"/\r\nevent: forged", b"/" + "\u2028\u202e\u0085".encode(),
    b"/" + b"x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
@pytest.mark.parametrize("for_people", [False, True])
def test_a_hostile_path_breaks_neither_line_nor_terminal(lines, target, for_people):
    log = AccessLog(lines.append, lambda: NOW, for_people=for_people)
    log.told(Visit("r", "p\x1b", RequestHead(b"G\x1b\nT", target, [], NO_BODY), 400))
    [line] = lines
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert len(line) < 2000
    if not for_people:
        assert line.isascii()
        assert json.loads(line)["path"] == shown_path(RequestHead(b"", target, [], NO_BODY))


@given(target=st.binary(), peer=st.text(), message=st.text(), method=st.binary())
def test_every_line_is_one_line_of_json(target, peer, message, method):
    lines = []
    problem = Problem(FORBIDDEN, message)
    AccessLog(lines.append, lambda: NOW).told(
        Visit("r", peer, RequestHead(method, target, [], NO_BODY), 403, problem=problem)
    )
    assert read(lines)["reason"] == message


def test_people_get_words(lines):
    log = AccessLog(lines.append, lambda: NOW, for_people=True)
    log.told(
        Visit("r-1", "10.0.0.1", RequestHead(b"GET", b"/a b", [], NO_BODY), 403, problem=Problem(FORBIDDEN, "no way"))
    )
    assert "[info     ] request" in lines[0]
    assert "path='/a b' status=403 outcome=forbidden" in lines[0]
    assert "reason='no way'" in lines[0]
    assert "caller" not in lines[0], "what is empty is not shown"


def test_journald_gets_its_priority_first(lines):
    AccessLog(lines.append, lambda: NOW, prefix="<6>").told(Visit("r", "p", None, 200))
    assert lines[0].startswith('<6>{"timestamp"')


def test_the_outcomes_feed_it_and_then_refusals_are_told_once(lines):
    outcomes = OutcomeLog()
    outcomes.access = AccessLog(lines.append, lambda: NOW)
    outcomes.finished(forward(), 200, None)
    outcomes.refused("p", None, Problem(FORBIDDEN, "no"), "r-2", caller="")
    outcomes.relayed(Visit("r-3", "p", None, 204))
    assert [json.loads(line)["status"] for line in lines] == [200, 403, 204]
    assert outcomes.by_status == {200: 1, 403: 1, 204: 1}
