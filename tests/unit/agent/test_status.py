"""The headline, readiness and warnings, for each state that an agent can be in."""

from types import SimpleNamespace

import pytest

from agent.commands.printing import status_lines
from agent.errors import Cause, DialError
from agent.spool_file import Contents
from agent.spool_records import SpoolFull
from agent.status import WAITING, Service, StatusBoard
from agent.supervisor import Trouble
from agent.tally import Tally, WebhookTally
from agent.webhooks_page import webhook_page
from jira_api.protection.protection import Protection
from jira_api.readiness import Finding
from jira_api.server_info import ServerInfo
from tunnel.budget import Budget

INFO = ServerInfo("https://jira.corp/jira", "9.12.5", (9, 12, 5), "Server", "")


def protection():
    return Protection(4, lambda: 100.0)


def board(*, up=0, wanted=2, trouble=None, finding=None, draining=False, has_login=True):
    made = StatusBoard(Tally(), protection(), Budget(1000))
    supervisor = SimpleNamespace(up=up, wanted=wanted, opened=up, trouble=trouble or {}, is_draining=draining, links=[])
    screening = SimpleNamespace(credentials=SimpleNamespace(is_set=has_login))
    made.service = Service(
        jira=SimpleNamespace(url="https://jira"),
        identity=lambda: None,
        supervisor=supervisor,
        dialer=SimpleNamespace(congestion_control="bbr"),
        probe=SimpleNamespace(finding=finding or Finding(INFO, None)),
        carrier=SimpleNamespace(screening=screening),
    )
    return made


def test_before_enrolment_it_waits():
    made = StatusBoard(Tally(), protection(), Budget(1000))

    assert (made.headline(), made.ready(), made.warnings()) == (WAITING, WAITING, [])
    assert made.page()["status"] == WAITING


def test_with_links_it_is_ready():
    made = board(up=2)

    assert made.headline() == "2 of 2 links up, Jira 9.12.5"
    assert made.ready() is None


def test_without_links_the_headline_says_why_and_what_to_do():
    error = DialError(Cause.CERTIFICATE_REJECTED, "wss://g answered 403")
    made = board(trouble={0: Trouble(error, 0.0)})

    assert made.headline() == f"no link: {error}"
    assert made.ready() == made.headline()
    assert str(error) in made.warnings()


def test_before_the_first_outcome_it_connects():
    assert board().headline() == "connecting"


def test_a_draining_agent_is_not_ready():
    assert board(up=2, draining=True).ready() == "draining, 0 requests under way"


def test_a_jira_that_does_not_answer_is_told_but_the_links_are_ready():
    made = board(up=1, finding=Finding(None, "no answer"))

    assert made.ready() is None
    assert made.headline() == "1 of 2 links up, Jira does not answer: no answer"
    assert "Jira: no answer" in made.warnings()


def test_missing_credentials_and_a_failed_reload_are_warnings():
    made = board(up=1, has_login=False)
    made.reload_problem = "policy.toml: is no TOML"

    assert any("no Jira credentials" in warning for warning in made.warnings())
    assert any("is no TOML" in warning for warning in made.warnings())


PAGE = {
    "status": "1 of 2 links up, Jira 9.12.5",
    "agent": "site-a",
    "instance": "i1",
    "certificate_expires_at": "2026-12-01T00:00:00+00:00",
    "jira": {
        "url": "https://jira", "answers": True, "version": "9.12.5", "base_url": "https://jira.corp",
        "credentials": "bearer",
    },
    "policy": {"source": "read-only", "rules": 7},
    "requests": {"in_flight": 1, "waiting": 0, "limit": 64, "outcomes": {"answered": 3, "cancel": 1}},
    "links": [{"gateway": "wss://g:1", "usable": True, "draining": False, "streams": 1, "rtt_ms": 12.5, "ping_ms": 13.0}],
    "warnings": ["look here"],
}  # fmt: skip


def test_the_page_reads_well():
    lines = list(status_lines(PAGE))

    assert lines[0] == PAGE["status"]
    assert "  outcomes   3 answered, 1 cancel" in lines
    assert "  link       wss://g:1 up, 1 streams, 12.5 ms" in lines
    assert lines[-1] == "  warning    look here"


def test_the_page_of_a_waiting_agent_reads_well():
    lines = list(status_lines(StatusBoard(Tally(), protection(), Budget(1)).page()))

    assert lines[0] == WAITING
    assert "  outcomes   none yet" in lines


@pytest.fixture
def webhooks():
    tally = WebhookTally()
    tally.received, tally.carried = 12, 9
    tally.refused.update({"full": 2, "unknown_hook": 1})
    tally.dropped["unknown_hook"] = 1
    spool = SimpleNamespace(contents=Contents(3, 4096, 9, 1_000_000), max_bytes=5000, problem=None, problem_since=0)
    return SimpleNamespace(
        is_active=True,
        address="127.0.0.1:9443",
        url="http://127.0.0.1:9443",
        hooks=["a", "b"],
        spool=spool,
        tally=tally,
        carrying_problem=None,
        edge=SimpleNamespace(now_ms=lambda: 1_061_500),
    )


def with_webhooks(webhooks):
    made = board(up=1)
    made.service = Service(
        **{name: getattr(made.service, name) for name in Service.__slots__ if name != "webhooks"}, webhooks=webhooks
    )
    return made


def test_webhooks_have_a_section_of_their_own(webhooks):
    assert webhook_page(webhooks) == {
        "listening": "127.0.0.1:9443",
        "url": "http://127.0.0.1:9443",
        "hooks": 2,
        "spool": {
            "events": 3, "bytes": 4096, "limit_bytes": 5000, "oldest_age_seconds": 61,
            "problem": None, "problem_since": None,
        },
        "received": 12,
        "refused": {"full": 2, "unknown_hook": 1},
        "carried": 9,
        "dropped": {"unknown_hook": 1},
    }  # fmt: skip
    assert webhook_page(None) is None
    webhooks.is_active = False
    assert webhook_page(webhooks) is None


def test_a_full_spool_is_a_warning(webhooks):
    webhooks.spool.problem, webhooks.spool.problem_since = SpoolFull(1, 5000), 1_060_000
    made = with_webhooks(webhooks)

    [warning] = made.warnings()
    assert warning.startswith("webhooks are refused since 1970-01-01T00:17:40+00:00: the spool is full (5000 bytes)")


def test_a_spool_that_cannot_be_read_is_a_warning(webhooks):
    webhooks.carrying_problem = "spool.db is damaged"

    assert with_webhooks(webhooks).warnings() == ["spooled webhooks cannot be read: spool.db is damaged"]


def test_the_section_on_webhooks_reads_well(webhooks):
    lines = list(status_lines({**PAGE, "webhooks": webhook_page(webhooks)}))

    assert "  webhooks   at http://127.0.0.1:9443, 2 hooks; 12 received, 3 refused (2 full, 1 unknown_hook)" in lines
    assert "  spool      3 events, 4096 of 5000 bytes, the oldest 61 s old" in lines
    assert "  carried    9 to gateways, 1 dropped (1 unknown_hook)" in lines


def test_an_agent_that_only_carries_what_is_left_says_so(webhooks):
    webhooks.address = webhooks.url = None
    webhooks.tally = WebhookTally()

    assert "  webhooks   not received here; 0 received" in list(
        status_lines({**PAGE, "webhooks": webhook_page(webhooks)})
    )
