"""Heads on the wire."""

import pytest

from tunnel.errors import LocalProtocolError, RemoteProtocolError
from tunnel.heads import (
    NO_BODY,
    HeadTooLarge,
    RequestHead,
    ResponseHead,
    decode_head,
    decode_trailers,
    encode_request,
    encode_response,
    encode_trailers,
    share_fields,
)


def request(**changes):
    fields = {"method": b"GET", "target": b"/x", "headers": [(b"A", b"b")], "body": NO_BODY} | changes
    return RequestHead(**fields)


def encoded(head=None):
    return encode_request(head or request(), 2, 0, end=False)[10:]


def test_order_repeats_case_and_empty_values_are_kept():
    headers = [(b"X-a", b"1"), (b"x-A", b""), (b"X-a", b"1"), (b"", b"")]
    assert decode_head(encoded(request(headers=headers)))[0].headers == headers


@pytest.mark.parametrize("evil", [b"a\nb", b"a\rb", b"a\0b"])
@pytest.mark.parametrize("place", ["method", "target", "headers", "meta"])
def test_a_field_that_could_become_two_is_never_sent(evil, place):
    value = {"headers": [(b"A", evil)], "meta": {b"a": evil}}.get(place, evil)
    with pytest.raises(LocalProtocolError):
        encoded(request(**{place: value}))


@pytest.mark.parametrize(
    "changes", [{"body": -3}, {"body": 2**63}, {"timeout_ms": 2**32}, {"method": b""}, {"target": b""}]
)
def test_a_head_out_of_range_is_never_sent(changes):
    with pytest.raises(LocalProtocolError):
        encoded(request(**changes))


@pytest.mark.parametrize("status", [99, 1000])
def test_a_status_out_of_range_is_never_sent(status):
    with pytest.raises(LocalProtocolError):
        encode_response(ResponseHead(status, []), 2, end=True)


def test_a_head_above_64_kib_is_too_large():
    with pytest.raises(HeadTooLarge):
        encoded(request(headers=[(b"A", b"x" * 65536)]))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 3),  # kind
        (18, 1),  # metas: high byte
        (20, 2),  # headers
        (22, 0x0A),  # an LF inside the method
        (22, 0x0D),
        (22, 0x00),
    ],
)
def test_one_wrong_byte_is_refused(at, value):
    payload = bytearray(encoded())
    payload[at] = value
    with pytest.raises(RemoteProtocolError):
        decode_head(bytes(payload))


def test_an_unknown_kind_of_body_is_refused():
    payload = bytearray(encoded())
    payload[1:9] = (-3).to_bytes(8, signed=True)
    with pytest.raises(RemoteProtocolError):
        decode_head(bytes(payload))


def test_a_repeated_meta_is_refused():
    payload = encoded(request(meta={b"a": b"1", b"b": b"2"})).replace(b"\nb\n2", b"\na\n2")
    with pytest.raises(RemoteProtocolError):
        decode_head(payload)


def test_trailers_with_a_wrong_count_are_refused():
    payload = encode_trailers([(b"a", b"b")], 2)[10:]
    with pytest.raises(RemoteProtocolError):
        decode_trailers(b"\0\2" + payload[2:])
    with pytest.raises(RemoteProtocolError):
        decode_trailers(b"\0")


def shared(first=b"1", headers=(), **meta):
    """Return a head whose fields but the first meta are shared."""
    common = share_fields({b"caller": b"ci", **meta}, list(headers))
    return request(headers=common.headers, meta={b"id": first, **common.meta}, shared=common)


def test_fields_that_are_shared_are_written_as_any():
    head = shared(headers=[(b"A", b"b")])
    assert encoded(head) == encoded(request(headers=head.headers, meta=head.meta))


@pytest.mark.parametrize("evil", [b"a\nb", b"a\rb", b"a\0b"])
def test_a_field_beside_shared_ones_cannot_become_two(evil):
    head = shared(headers=[(b"A", b"b")], first=evil)
    with pytest.raises(LocalProtocolError):
        encoded(head)


def test_a_head_with_shared_fields_must_fit_a_frame():
    head = shared(headers=[(b"A", b"b" * 40_000)], first=b"c" * 40_000)
    with pytest.raises(HeadTooLarge):
        encoded(head)


def test_fields_that_come_again_are_read_once():
    known = {}
    first, _ = decode_head(encoded(shared(b"1", headers=[(b"A", b"b")])), known)
    second, _ = decode_head(encoded(shared(b"2", headers=[(b"A", b"b")])), known)
    assert second.shared is first.shared
    assert second.headers is first.headers
    assert (first.meta, second.meta) == ({b"id": b"1", b"caller": b"ci"}, {b"id": b"2", b"caller": b"ci"})


def test_the_same_bytes_with_other_counts_are_other_fields():
    known = {}
    decode_head(encoded(shared()), known)
    payload = bytearray(encoded(shared()))
    payload[17:21] = (1).to_bytes(2) + (1).to_bytes(2)  # one meta, and what was the other is a header now
    head, _ = decode_head(bytes(payload), known)
    assert (head.meta, head.headers) == ({b"id": b"1"}, [(b"caller", b"ci")])


def test_a_meta_that_repeats_a_known_one_is_refused():
    known = {}
    decode_head(encoded(shared()), known)
    repeated = encoded(shared()).replace(b"\nid\n", b"\ncaller\n")
    for memory in (known, {}):
        with pytest.raises(RemoteProtocolError):
            decode_head(repeated, memory)


def test_what_is_known_is_bounded():
    known = {}
    for number in range(300):
        decode_head(encoded(shared(headers=[(b"A", b"%d" % number)])), known)
        assert len(known) <= 64
    assert decode_head(encoded(shared(headers=[(b"A", b"x" * 5000)])), known)[0].shared is None
    crumbs = [(b"", b"")] * 100  # few bytes, and a hundred times as many when they are read
    assert decode_head(encoded(shared(headers=crumbs)), known)[0].shared is None
