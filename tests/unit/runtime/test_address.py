"""Listening addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("gw.example:443", "gw.example", 443),
     ("0.0.0.0:65535", "0.0.0.0", 65535)],
)  # fmt: skip
def test_an_address_is_host_and_port_and_comes_out_as_it_went_in(text, host, port):
    assert Address.parse(text) == Address(host, port)
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "host",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "a:1/x",
        "u@a:1",
        "[::1:1",
        "::1",
        "a b:c",
    ],
)
def test_anything_else_is_refused_with_a_fix(text):
    with pytest.raises(ValueError, match="write host:port"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("gw.example", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host, is_loopback):
    assert Address(host, 1).is_loopback is is_loopback


@given(st.text(max_size=30))
def test_no_text_raises_anything_but_its_refusal(text):
    try:
        found = Address.parse(text)
    except ValueError:
        return
    assert 0 <= found.port <= 65535
