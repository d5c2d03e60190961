"""Link rewriting on random documents: only link keys change, and chunk borders never matter."""

import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from jira_api.link_keys import LINK_KEYS
from jira_api.links import LinkRewriter

ORIGINS = (b"https://jira.corp.example:8443/jira", b"http://10.0.0.1/jira")
PUBLIC = "https://gw.example/jira/ops"
REWRITER = LinkRewriter(ORIGINS, PUBLIC.encode())
TABLE = {key.decode() for key in LINK_KEYS}

stems = st.sampled_from([
    "https://jira.corp.example:8443/jira", "https://JIRA.corp.example:8443/jira", "http://10.0.0.1/jira",
    "http://10.0.0.1:80/jira", "https://jira.corp.example:8443/jirax", "https://jira.corp.example/jira",
    "https://jira.corp.example:8443", "http://10.0.0.10/jira", "https://evil.example/?https://jira.corp.example:8443/jira",
])  # fmt: skip
tails = st.sampled_from(["", "/", "/rest/api/2/issue/1", "?a=b", "#x", ".evil.example/", "@evil", "\\", '"', " ", "\n"])
links = st.builds("".join, st.tuples(stems, tails))
texts = st.one_of(
    st.text(max_size=12),
    links,
    st.builds('{{"self":"{}"}}'.format, links),
    st.builds('a\\"self":"{}'.format, links),
    st.builds('{{"content" : "{}", "48x48":"'.format, links),
)
odd_keys = st.sampled_from(['x"self', ',"self', "Self", "selfx", "xself", "url", "description", "\\self", "{", ""])
keys = st.one_of(st.sampled_from(sorted(TABLE)), odd_keys, st.text(max_size=4))
# Every member is a link or nearly one: what the random documents below hit too rarely.
dense = st.dictionaries(st.one_of(st.sampled_from(["self", "48x48", "autoCompleteUrl"]), odd_keys), links, max_size=4)
sparse = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=25,
)
documents = st.one_of(dense, st.lists(dense, max_size=3), sparse)
WHOLE = 1_000_000
steps = st.one_of(st.integers(1, 40), st.integers(40, 400), st.just(WHOLE))
serialisers = st.sampled_from([
    lambda document: json.dumps(document, separators=(",", ":"), ensure_ascii=False),
    json.dumps,
    lambda document: json.dumps(document, indent=2, separators=(",", " : ")),
    lambda document: json.dumps(document, separators=(",", ":")).replace("/", "\\/"),
])  # fmt: skip


def public_form(value: str) -> str:
    """The specification of one link, written without regular expressions."""
    for origin in ("https://jira.corp.example:8443/jira", "http://10.0.0.1/jira", "http://10.0.0.1:80/jira"):
        head, rest = value[: len(origin)], value[len(origin) :]
        if (
            head[:7] == origin[:7]
            and head.lower() == origin
            and head.endswith("/jira")
            and rest[:1] in {"", "/", "?", "#"}
        ):
            return PUBLIC + rest
    return value


def expected(value: object, key: str | None = None) -> object:
    match value:
        case dict():
            return {name: expected(inner, name) for name, inner in value.items()}
        case list():
            return [expected(inner) for inner in value]
        case str() if key in TABLE:
            return public_form(value)
        case _:
            return value


def rewrite(body: bytes, step: int, coding: bytes = b"") -> bytes:
    """Rewrite a body that arrives in pieces of `step` bytes."""
    stream = REWRITER.stream(coding)
    pieces = [stream.feed(body[start : start + step]) for start in range(0, len(body), step)]
    return b"".join([*pieces, stream.finish()])


@given(documents, serialisers, steps)
def test_exactly_the_link_keys_of_this_jira_change(document, serialise, step):
    body = serialise(document).encode()
    rewritten = rewrite(body, step)
    assert json.loads(rewritten) == expected(document)


@given(documents, steps)
def test_gzip_gives_the_same_document(document, step):
    body = gzip.compress(json.dumps(document).encode())
    assert json.loads(gzip.decompress(rewrite(body, step, b"gzip"))) == expected(document)


@given(st.binary(max_size=300), steps)
def test_bytes_without_links_pass_untouched_whatever_they_are(body, step):
    assert rewrite(body, step) == body


FRAGMENTS = st.sampled_from([
    b'"http', b'"self":', b'"self" : ', b'{"content": ', b"https://jira.corp.example:8443/jira", b'"', b"/", b",", b"\\",
    b'"https://jira.corp.example:8443/jira', b'"http://10.0.0.1/jira"', b"{", b"x",
])  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=12).map(b"".join), steps)
def test_even_in_broken_json_the_step_make_no_difference(body, step):
    assert rewrite(body, step) == rewrite(body, WHOLE)
