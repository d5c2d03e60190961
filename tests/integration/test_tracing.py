"""Spans, as a real OTLP/HTTP receiver decodes them."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from gateway import tracing
from gateway.errors import TUNNEL_LOST, Problem
from runtime.configuration import ConfigurationError
from tests.support.fake_link import FakeExchange

pytest.importorskip("opentelemetry.sdk")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STATE = (b"tracestate", b"rojo=1")
CANARY = b"canary"


@pytest.fixture
def collector():
    got = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"])), self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", got=got)
    server.shutdown()
    thread.join(5)
    server.server_close()


def spans(collector):
    import gzip

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for path, body, headers in collector.got:
        assert path == "/v1/traces"
        raw = gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body
        assert CANARY not in raw
        request = ExportTraceServiceRequest.FromString(raw)
        for resource in request.resource_spans:
            [name] = [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"]
            assert name == "jira-gateway"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def made(collector, share=1.0):
    return tracing.Tracing(collector.url, share, "0.1.0", lambda: datetime.now(UTC))


def request(*headers):
    admission = SimpleNamespace(
        headers=[(b"Cookie", CANARY), *headers],
        span=None,
        route=SimpleNamespace(name="hq", agent="site"),
        grant=SimpleNamespace(name="ci"),
    )
    exchange = FakeExchange(b"GET", b"/jira/hq/x?q=" + CANARY)
    return SimpleNamespace(
        exchange=exchange, admission=admission, request_id="r-1", started_at=tracing.perf_counter() - 0.5,
        sent_at=100.01, answered_at=100.4, jira_us=b"300000", has_hung_up=False,
    )  # fmt: skip


def traceparent(flags):
    return (b"Traceparent", f"00-{TRACE}-{PARENT}-{flags}".encode())


def passed(forward):
    return [pair for pair in forward.admission.headers if pair[0].lower().startswith(b"trace")]


def test_a_request_in_a_sampled_trace_is_a_child_and_the_parent_of_jiras(collector):
    traces = made(collector, share=0.0)
    forward = request(traceparent("01"), STATE)
    traces.begin(forward.admission)
    [state, (_, ours)] = passed(forward)
    traces.finished(forward, 200, None)
    traces.close()
    [span] = spans(collector)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), state) == (TRACE, PARENT, STATE)
    assert ours == f"00-{TRACE}-{span.span_id.hex()}-01".encode()
    assert span.name == "GET hq"
    assert 0.4e9 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    told = {each.key: each.value for each in span.attributes}
    assert told["jira_tunnel.caller"].string_value == "ci"
    assert told["jira_tunnel.jira_ms"].double_value == 300.0
    assert told["http.response.status_code"].int_value == 200


def test_what_the_caller_does_not_sample_passes_untouched(collector):
    traces = made(collector)
    forward = request(traceparent("00"), STATE)
    traces.begin(forward.admission)
    assert passed(forward) == [traceparent("00"), STATE]
    traces.finished(forward, 200, None)
    traces.close()
    assert spans(collector) == []


def test_without_a_trace_one_begins_here_for_its_share(collector):
    traces = made(collector)
    for headers in ((), ((b"traceparent", b"nonsense"), STATE)):
        forward = request(*headers)
        traces.begin(forward.admission)
        assert [name for name, _ in passed(forward)] == [b"traceparent"], "a state belongs to its trace"
        traces.finished(forward, 502, Problem(TUNNEL_LOST, "gone"))
    traces.close()
    first, second = spans(collector)
    assert not first.parent_span_id
    assert first.trace_id != second.trace_id
    assert first.status.code == 2
    none = made(collector, share=0.0)
    forward = request()
    none.begin(forward.admission)
    assert passed(forward) == []
    none.close()


def test_without_the_libraries_the_setting_is_an_error_that_says_what_to_do(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tracing, "import_module", missing)
    with pytest.raises(ConfigurationError) as caught:
        tracing.Tracing("http://127.0.0.1:4318", 1.0, "x", lambda: datetime.now(UTC))
    assert "gateway-otel.lock" in caught.value.line
