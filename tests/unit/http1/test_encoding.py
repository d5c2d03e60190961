"""What is written is what is meant."""

import pytest

from http1 import encoding
from http1.encoding import encode_chunk, encode_last_chunk, encode_request, encode_response, response_framing
from http1.errors import UnsendableHead
from http1.messages import NO_BODY, STREAMED, RequestHead


def request(method=b"GET", target=b"/", headers=(), body=NO_BODY):
    return encode_request(RequestHead(method, target, list(headers), body), b"jira:1")


@pytest.mark.parametrize(
    ("body", "framing"),
    [
        (NO_BODY, b""),
        (0, b"Content-Length: 0\r\n"),
        (7, b"Content-Length: 7\r\n"),
        (STREAMED, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_requests_are_framed_from_one_int(body, framing):
    assert (
        request(b"POST", b"/a?%22", [(b"X", b"1")], body)
        == b"POST /a?%22 HTTP/1.1\r\nHost: jira:1\r\nX: 1\r\n" + framing + b"\r\n"
    )


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b"a\x01b", b"a\x7f"])
def test_values_cannot_hold_line_ends_or_control_bytes(value):
    with pytest.raises(UnsendableHead):
        request(headers=[(b"X", value)])
    with pytest.raises(UnsendableHead):
        encode_response(200, [(b"X", value)], [])
    with pytest.raises(UnsendableHead):
        encode_last_chunk([(b"X", value)])


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"A b",
        b"A:",
        b"A\r\nB",
        b"\xe4",
        b"Content-Length",
        b"transfer-encoding",
        b"Host",
        b"Connection",
        b"Content_Length",
        b"TE",
    ],
)
def test_names_must_be_tokens_of_no_hop(name):
    for _ in range(2):  # a refused name is not remembered as a good one
        with pytest.raises(UnsendableHead):
            request(headers=[(name, b"1")])


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"", b"/"),
        (b"G T", b"/"),
        (b"GET", b""),
        (b"GET", b"a"),
        (b"GET", b"/a b"),
        (b"GET", b"/\xe4"),
        (b"GET", b"/\r\n"),
        (b"GET", b"*"),
    ],
)
def test_methods_and_targets_must_be_sendable(method, target):
    with pytest.raises(UnsendableHead):
        request(method, target)


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 2000, -200])
def test_only_final_statuses_are_answers(status):
    with pytest.raises(UnsendableHead):
        encode_response(status, [], [])


def test_obs_text_and_tabs_in_values_pass():
    assert b"X: \xe4\t1\r\n" in encode_response(200, [(b"X", b"\xe4\t1")], [])


@pytest.mark.parametrize(
    ("body", "bodyless", "http_1_0", "expected"),
    [
        (3, False, False, [b"Content-Length: 3"]), (3, True, False, [b"Content-Length: 3"]), (NO_BODY, False, False, [b"Content-Length: 0"]),
        (NO_BODY, True, False, []), (STREAMED, False, False, [b"Transfer-Encoding: chunked"]), (STREAMED, False, True, []), (STREAMED, True, False, []),
    ],
)  # fmt: skip
def test_answers_are_framed_for_who_asked(body, bodyless, http_1_0, expected):
    assert response_framing(body, bodyless=bodyless, http_1_0=http_1_0) == expected


def test_chunks_and_their_end():
    assert b"".join(encode_chunk(b"x" * 26)) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert encode_last_chunk() == b"0\r\n\r\n"
    assert encode_last_chunk([(b"A", b"1"), (b"Cookie", b"2")]) == b"0\r\nA: 1\r\n\r\n"


def test_only_names_of_ordinary_length_are_remembered():
    long, short = b"X-" + b"y" * 60_000, b"X-Ordinary-Name"
    encode_response(200, [(long, b"1"), (short, b"2")], [])
    assert short in encoding._known_names
    assert long not in encoding._known_names
