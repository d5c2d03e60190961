"""Trace context: one well-formed `traceparent` counts, everything else is nothing."""

import pytest

from gateway.trace_context import parse, read_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01".encode()


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_a_well_formed_one_is_read(flags, sampled):
    found = parse(f"00-{TRACE}-{PARENT}-{flags}".encode())
    assert (found.trace_id, found.parent_id, found.is_sampled) == (TRACE, PARENT, sampled)


def test_of_a_later_version_the_known_parts_count():
    assert parse(f"cc-{TRACE}-{PARENT}-01-what-the-future-brings".encode()).trace_id == TRACE
    assert parse(f"cc-{TRACE}-{PARENT}-01".encode()).is_sampled


@pytest.mark.parametrize(
    "value",
    [
        b"",
        GOOD + b"-more",
        GOOD + b".",
        GOOD.upper(),
        b" " + GOOD,
        GOOD[:-1],
        b"ff" + GOOD[2:],
        b"00-" + b"0" * 32 + GOOD[35:],
        GOOD[:36] + b"0" * 16 + b"-01",
        GOOD.replace(b"-", b"_"),
        b"\xff" * 55,
    ],
)
def test_what_is_malformed_is_nothing(value):
    assert parse(value) is None


def test_two_of_them_are_none():
    assert read_traceparent([(b"Accept", b"x"), (b"TraceParent", GOOD)]).trace_id == TRACE
    assert read_traceparent([(b"traceparent", GOOD), (b"traceparent", GOOD)]) is None
    assert read_traceparent([(b"tracestate__", GOOD), (b"Traceparenx", GOOD)]) is None
