"""OpenTelemetry at the gateway: one span per request, exported by OTLP/HTTP from a thread of the SDK.

The SDK is imported only where JIRA_GATEWAY_OTEL_ENDPOINT is set; otherwise nothing costs anything. A request is
recorded when its caller's `traceparent` says so, or, without one, by the configured share; what is not recorded passes
to Jira as it came. A span holds what the access log holds, and nothing else.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from random import random
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Final

from gateway.admission import Admission
from gateway.errors import Problem
from gateway.forward import Forward
from gateway.settings import GatewaySettings
from gateway.trace_context import TraceParent, read_traceparent
from http1.messages import Headers
from runtime.configuration import ConfigurationError
from runtime.version import release

ENDPOINT: Final = "JIRA_GATEWAY_OTEL_ENDPOINT"
EXPORT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
_MODULES: Final = {
    "exporter": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "export": "opentelemetry.sdk.trace.export",
    "resources": "opentelemetry.sdk.resources",
    "sdk": "opentelemetry.sdk.trace",
    "trace": "opentelemetry.trace",
}


class Tracing:
    """Makes the spans of one gateway; `close` writes out what is left."""

    def __init__(self, endpoint: str, share: float, version: str, clock: Callable[[], datetime]) -> None:
        """Load the SDK; raises `ConfigurationError` when it is not installed."""
        try:
            self._otel = otel = SimpleNamespace(**{name: import_module(path) for name, path in _MODULES.items()})
        except ImportError:
            fix = "install requirements/gateway-otel.lock (docs/operations.md, Traces), or unset it"
            raise ConfigurationError(ENDPOINT, "is set, and OpenTelemetry is not installed", fix) from None
        self._share = share
        self._clock = clock
        exporter = otel.exporter.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS)
        self._processor = otel.export.BatchSpanProcessor(exporter)
        self._resource = otel.resources.Resource.create({"service.name": "jira-gateway", "service.version": version})

    def __repr__(self) -> str:
        return f"<Tracing share={self._share:g}>"

    def begin(self, admission: Admission) -> None:
        """Decide whether a request is recorded, and make our span the parent of what Jira does."""
        parent = read_traceparent(admission.headers)
        if parent is not None and not parent.is_sampled:
            return
        if parent is None and random() >= self._share:  # noqa: S311 - a sample, not a secret
            return
        ours = TraceParent(parent.trace_id if parent else secrets.token_hex(16), secrets.token_hex(8), is_sampled=True)
        admission.headers = _replaced(admission.headers, ours, is_new=parent is None)
        admission.passport = None
        admission.span = (parent, ours, self._clock().timestamp())

    def finished(self, forward: Forward, status: int, problem: Problem | None) -> None:
        """Hand the span of a request to the thread that exports it."""
        if forward.admission.span is None:
            return
        parent, ours, begun = forward.admission.span
        start = int(begun * 1e9)
        otel = self._otel
        is_error = status == 0 or status >= 500 or problem is not None
        code = otel.trace.StatusCode.ERROR if is_error else otel.trace.StatusCode.UNSET
        span = otel.sdk.ReadableSpan(
            name=f"{forward.exchange.request.method.decode('latin-1')} {forward.admission.route.name}",
            context=self._context(ours, is_remote=False),
            parent=None if parent is None else self._context(parent, is_remote=True),
            resource=self._resource,
            attributes=_attributes(forward, status, problem),
            kind=otel.trace.SpanKind.SERVER,
            status=otel.trace.Status(code),
            start_time=start,
            end_time=start + int((perf_counter() - forward.started_at) * 1e9),
        )
        self._processor.on_end(span)

    def close(self) -> None:
        """Export what is left, for two seconds at most: a collector that is gone must not hold up a stop."""
        ending = threading.Thread(target=self._processor.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)

    def _context(self, place: TraceParent, *, is_remote: bool) -> Any:
        flags = self._otel.trace.TraceFlags(1)
        return self._otel.trace.SpanContext(int(place.trace_id, 16), int(place.parent_id, 16), is_remote, flags)


@contextmanager
def open_tracing(settings: GatewaySettings) -> Iterator[Tracing | None]:
    """Return the tracing of a gateway while it runs, None where it is off; raises `ConfigurationError`."""
    if settings.otel_endpoint is None:
        yield None
        return
    tracing = Tracing(settings.otel_endpoint, settings.otel_share, release(), partial(datetime.now, UTC))
    try:
        yield tracing
    finally:
        tracing.close()


def _replaced(headers: Headers, ours: TraceParent, *, is_new: bool) -> Headers:
    """Return the headers with our span as the parent; where a trace begins here, `tracestate` belonged to none."""
    dropped = {b"traceparent", b"tracestate"} if is_new else {b"traceparent"}
    kept = [pair for pair in headers if pair[0].lower() not in dropped]
    return [*kept, (b"traceparent", f"00-{ours.trace_id}-{ours.parent_id}-01".encode())]


def _attributes(forward: Forward, status: int, problem: Problem | None) -> dict[str, str | int | float]:
    admission, exchange = forward.admission, forward.exchange
    found: dict[str, str | int | float] = {
        "http.request.method": exchange.request.method.decode("latin-1"),
        "http.response.status_code": status,
        "http.request.body.size": exchange.received,
        "http.response.body.size": exchange.sent,
        "jira_tunnel.request_id": forward.request_id,
        "jira_tunnel.caller": admission.grant.name,
        "jira_tunnel.connection": admission.route.name,
        "jira_tunnel.agent": admission.route.agent or "direct",
        "jira_tunnel.outcome": "hung_up" if forward.has_hung_up else "answered",
    }
    if problem is not None:
        found["jira_tunnel.outcome"] = problem.slug.name
    if forward.sent_at:
        found["jira_tunnel.queue_ms"] = round((forward.sent_at - forward.started_at) * 1000, 3)
    if forward.answered_at and forward.jira_us.isdigit() and len(forward.jira_us) < 16:
        jira = int(forward.jira_us) / 1000
        found["jira_tunnel.jira_ms"] = jira
        found["jira_tunnel.tunnel_ms"] = round(max(0.0, (forward.answered_at - forward.sent_at) * 1000 - jira), 3)
    return found
