"""Which answers are rewritten, and what happens to their headers."""

import pytest

from jira_api.rewriting import accept_encoding, content_coding, rewritten_headers, should_rewrite, strong_if_match

JSON = (b"Content-Type", b"application/json;charset=UTF-8")


@pytest.mark.parametrize(
    ("status", "headers", "path", "rewritten"),
    [
        (200, [JSON], "/rest/api/2/myself", True),
        (400, [JSON], "/rest/api/2/search", True),
        (200, [(b"content-type", b"application/problem+json")], "/rest/x", True),
        (200, [(b"content-type", b"APPLICATION/JSON")], "/rest/x", True),
        (200, [JSON, (b"content-encoding", b"gzip")], "/rest/x", True),
        (200, [JSON, (b"content-encoding", b"identity")], "/rest/x", True),
        (200, [JSON, (b"content-encoding", b"br")], "/rest/x", False),
        (200, [JSON, (b"content-encoding", b"gzip, gzip")], "/rest/x", False),
        (200, [(b"content-type", b"application/jsonp")], "/rest/x", False),
        (200, [(b"content-type", b"text/html")], "/rest/x", False),
        (200, [(b"content-type", b"text/plain; x=application/json")], "/rest/x", False),
        (200, [], "/rest/x", False),
        (200, [JSON], "/secure/attachment/1/x.json", False),
        (206, [JSON], "/rest/x", False),
        (204, [JSON], "/rest/x", False),
        (304, [JSON], "/rest/x", False),
        (100, [JSON], "/rest/x", False),
    ],
)
def test_only_whole_json_answers_are_rewritten(status, headers, path, rewritten):
    assert should_rewrite(status, headers, path) is rewritten


def test_headers_no_longer_speak_of_the_old_bytes():
    headers = [
        JSON, (b"ETag", b'"1"'), (b"etag", b'W/"2"'), (b"Content-MD5", b"x"), (b"Digest", b"x"), (b"Content-Length", b"9"),
        (b"Repr-Digest", b"x"), (b"Accept-Ranges", b"bytes"), (b"X-AUSERNAME", b"bot"),
    ]  # fmt: skip
    assert rewritten_headers(headers) == [JSON, (b"ETag", b'W/"1"'), (b"etag", b'W/"2"'), (b"X-AUSERNAME", b"bot")]


def test_a_weakened_tag_becomes_strong_again_for_if_match():
    assert strong_if_match(b'W/"1"') == b'"1"'
    assert strong_if_match(b'W/"1", "2",W/"3"') == b'"1", "2","3"'
    assert strong_if_match(b"*") == b"*"
    assert strong_if_match(b'"xW/"') == b'"xW/"'


@pytest.mark.parametrize(
    ("value", "narrowed"),
    [
        (None, b"identity"),
        (b"", b"identity"),
        (b"gzip", b"gzip"),
        (b"gzip, deflate, br", b"gzip"),
        (b"br;q=1.0, GZIP;q=0.5", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"br, zstd", b"identity"),
        (b"gzip;q=0, *", b"identity"),
        (b"gzip; q=0.000", b"identity"),
        (b"*", b"gzip"),
        (b"*;q=0", b"identity"),
        (b"gzipped", b"identity"),
        (b"identity", b"identity"),
    ],
)
def test_accept_encoding_is_narrowed_to_what_we_read(value, narrowed):
    assert accept_encoding(value) == narrowed


def test_the_content_coding_is_found():
    assert content_coding([JSON, (b"content-encoding", b"gzip")]) == b"gzip"
    assert content_coding([JSON]) == b""
