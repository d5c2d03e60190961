"""Which answers are rewritten, and what happens to their headers."""

import pytest

from jira_api.rewriting import accept_encoding, plan_answer, should_rewrite, strong_if_match

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
    plan = plan_answer(tuple(name for name, _ in headers), caller_credentials=False)
    content_type = b"" if plan.content_type is None else headers[plan.content_type][1]

    assert should_rewrite(status, content_type, plan.content_coding(headers), path) is rewritten


def test_headers_no_longer_speak_of_the_old_bytes():
    headers = [
        JSON, (b"ETag", b'"1"'), (b"etag", b'W/"2"'), (b"Content-MD5", b"x"), (b"Digest", b"x"), (b"Content-Length", b"9"),
        (b"Repr-Digest", b"x"), (b"Accept-Ranges", b"bytes"), (b"X-AUSERNAME", b"bot"),
    ]  # fmt: skip
    plan = plan_answer(tuple(name for name, _ in headers), caller_credentials=False)

    assert plan.for_rewritten_body(plan.select(headers)) == [
        JSON,
        (b"ETag", b'W/"1"'),
        (b"etag", b'W/"2"'),
        (b"X-AUSERNAME", b"bot"),
    ]


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
    assert (
        plan_answer((b"Content-Type", b"content-encoding"), caller_credentials=False).content_coding(
            [JSON, (b"content-encoding", b"gzip")]
        )
        == b"gzip"
    )
    assert plan_answer((b"Content-Type",), caller_credentials=False).content_coding([JSON]) == b""


def test_only_what_may_pass_is_selected():
    headers = [(b"Set-Cookie", b"a"), JSON, (b"X-Request-ID", b"forged"), (b"Location", b"/x"), (b"Tunnel-Error", b"x")]
    names = tuple(name for name, _ in headers)

    without, with_login = (plan_answer(names, caller_credentials=login) for login in (False, True))

    assert without.select(headers) == [JSON, (b"Location", b"/x")]
    assert (without.content_type, without.locations, without.cookies) == (0, (1,), ())
    assert with_login.select(headers) == [(b"Set-Cookie", b"a"), JSON, (b"Location", b"/x")]
    assert (with_login.content_type, with_login.locations, with_login.cookies) == (1, (2,), (0,))


def test_selecting_never_touches_the_original():
    headers = [JSON, (b"ETag", b'"1"')]
    plan = plan_answer((b"Content-Type", b"ETag"), caller_credentials=False)
    plan.for_rewritten_body(plan.select(headers))

    assert headers == [JSON, (b"ETag", b'"1"')]
