"""What becomes of a stream that the gateway opens, and what people read about it."""

from types import SimpleNamespace

import structlog
from structlog.testing import capture_logs

from agent.carrier import Carrier, report
from agent.screening import Refused
from agent.switch import Switch
from agent.tally import Tally
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import RequestHead


class Stream:
    def __init__(self):
        self.resets = []

    def reset(self, code, progress, detail):
        self.resets.append((code, progress, detail))


def test_a_refused_stream_is_reset_counted_and_reported(tmp_path):
    reports = []
    tally = Tally()
    audited = []
    audit = SimpleNamespace(request=lambda *what: audited.append(what))
    jira = SimpleNamespace(tally=tally, report=lambda *what: reports.append(what), audit=audit)
    screening = SimpleNamespace(screen=lambda head: Refused(ErrorCode.POLICY_DENIED, "no", "rule-1"))
    stream = Stream()
    head = RequestHead(b"GET", b"/x", [])

    receiver = Carrier(screening, jira, Switch(tmp_path, lambda: 0)).accept(stream, head)
    receiver.on_data(b"ignored")
    receiver.on_end([])

    assert stream.resets == [(ErrorCode.POLICY_DENIED, Progress.NOT_SENT, "no")]
    assert reports == [(head, ErrorCode.POLICY_DENIED, "no", "rule-1")]
    assert audited == [(head, "rule-1", "policy_denied")]
    assert tally.denials == 1


def test_the_log_says_who_what_and_why_but_never_the_query():
    structlog.reset_defaults()
    head = RequestHead(b"GET", b"/rest/api/2/x?os_password=hunter2", [], meta={b"request-id": b"r1", b"caller": b"ci"})

    with capture_logs() as lines:
        report(head, ErrorCode.POLICY_DENIED, "no rule", None)
        report(head, ErrorCode.JIRA_TIMEOUT, "late", None)

    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("request_refused", "info"),
        ("request_failed", "warning"),
    ]
    assert lines[0] | {"request_id": "r1", "caller": "ci", "method": "GET", "path": "/rest/api/2/x"} == lines[0]
    assert "hunter2" not in repr(lines)
