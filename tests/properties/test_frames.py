"""The codec: decode after encode is the identity, and no bytes from a peer raise anything but RemoteProtocolError."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tunnel.errors import ErrorCode, Progress, RemoteProtocolError
from tunnel.frames import (
    HEADER,
    HEADER_BYTES,
    MAX_CREDIT,
    GoAway,
    Hello,
    Reset,
    decode_go_away,
    decode_hello,
    decode_reset,
    decode_settings,
    decode_window_update,
    encode_go_away,
    encode_hello,
    encode_reset,
    encode_settings,
    encode_window_update,
)
from tunnel.heads import (
    RequestHead,
    ResponseHead,
    decode_head,
    decode_trailers,
    encode_request,
    encode_response,
    encode_trailers,
    share_fields,
)

fields = st.binary(max_size=40).map(lambda value: bytes(byte for byte in value if byte not in b"\r\n\0"))
names = fields.filter(bool)
pairs = st.lists(st.tuples(fields, fields), max_size=8)
metas = st.dictionaries(fields, fields, max_size=4)
bodies = st.integers(-2, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
words = st.integers(0, 2**32 - 1)
codes = st.sampled_from([code for code in ErrorCode if code is not ErrorCode.LINK_LOST])

requests = st.builds(RequestHead, names, names, pairs, bodies, words, metas)
responses = st.builds(ResponseHead, st.integers(100, 999), pairs, bodies, metas)
hellos = st.builds(
    Hello,
    st.lists(st.integers(0, 65535), min_size=1, max_size=5).map(tuple),
    st.integers(0, MAX_CREDIT),
    st.integers(0, MAX_CREDIT),
    st.text(st.characters(codec="ascii"), max_size=200),
)

fast = settings(max_examples=60, deadline=None)


def payload(frame: bytes) -> bytes:
    assert HEADER.unpack_from(frame)[3] == len(frame) - HEADER_BYTES
    return frame[HEADER_BYTES:]


@fast
@given(requests, words)
def test_a_request_survives_the_wire(head, credit):
    assert decode_head(payload(encode_request(head, 2, credit, end=False))) == (head, credit)


@fast
@given(requests, words, st.binary(max_size=8))
def test_a_request_is_the_same_when_its_fields_are_known(head, credit, first):
    known: dict = {}
    for value in (first, first + b"2"):
        head.meta = {
            b"first": value.translate(None, b"\r\n\0"),
            **{k: v for k, v in head.meta.items() if k != b"first"},
        }
        plain = payload(encode_request(head, 2, credit, end=False))
        assert decode_head(plain, known) == decode_head(plain) == (head, credit)
        common = {k: v for k, v in head.meta.items() if k != b"first"}
        if common:
            with_shared = replace(head, shared=share_fields(common, head.headers))
            assert payload(encode_request(with_shared, 2, credit, end=False)) == plain


@fast
@given(responses)
def test_an_answer_survives_the_wire(head):
    assert decode_head(payload(encode_response(head, 2, end=True))) == (head, 0)


@fast
@given(pairs)
def test_trailers_survive_the_wire(trailers):
    assert decode_trailers(payload(encode_trailers(trailers, 2))) == trailers


@fast
@given(hellos)
def test_hello_survives_the_wire(hello):
    assert decode_hello(payload(encode_hello(hello))) == hello


@fast
@given(metas)
def test_settings_survive_the_wire(values):
    assert decode_settings(payload(encode_settings(values))) == values


@fast
@given(codes, st.sampled_from(Progress), texts)
def test_a_reset_survives_the_wire(code, progress, detail):
    assert decode_reset(payload(encode_reset(2, code, progress, detail))) == Reset(code, progress, detail)


@fast
@given(st.builds(GoAway, words, codes, words, texts))
def test_going_away_survives_the_wire(away):
    assert decode_go_away(payload(encode_go_away(away))) == away


@fast
@given(st.integers(1, 2**32 - 1))
def test_a_window_update_survives_the_wire(increment):
    assert decode_window_update(payload(encode_window_update(2, increment))) == increment


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120))
def test_no_payload_raises_anything_but_the_protocol_error(junk):
    decoders = (
        decode_head, decode_trailers, decode_hello, decode_settings, decode_reset, decode_go_away, decode_window_update,
    )  # fmt: skip
    for decode in decoders:
        with suppress(RemoteProtocolError):
            decode(junk)
