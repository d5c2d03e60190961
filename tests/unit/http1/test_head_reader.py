"""Heads are collected and read whole."""

import httptools
import pytest

from http1.errors import MalformedMessage
from http1.head_reader import HeadBuffer, read_fields


def test_a_head_in_one_read_is_split_from_what_follows():
    assert HeadBuffer().take(b"A\r\n\r\nrest") == (b"A\r\n\r\n", b"rest")


def test_a_head_in_pieces_is_found_where_it_ends():
    for i in range(1, 8):
        buffer = HeadBuffer()
        data = b"ABC\r\n\r\nrest"
        first = buffer.take(data[:i])
        found = first or buffer.take(data[i:])
        assert found is not None
        assert found[0] == b"ABC\r\n\r\n"
        assert len(buffer) == 0


def test_fields_are_sorted_by_hop_and_keep_their_case_and_order():
    lines = read_fields(
        b"GET / HTTP/1.1\r\nHost: a\r\nB:\t1 \r\nb:2\r\nConnection: close\r\n\r\n", httptools.HttpRequestParser
    )
    assert lines.headers == [(b"B", b"1"), (b"b", b"2")]
    assert (lines.framing.hosts, lines.framing.connection) == ([b"a"], [b"close"])


def test_two_heads_are_not_one():
    with pytest.raises(MalformedMessage):
        read_fields(b"GET / HTTP/1.1\r\nHost: a\r\n", httptools.HttpRequestParser)
