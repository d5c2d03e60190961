"""The canonicaliser on arbitrary bytes: it agrees with every other reading of a target, or refuses."""

import posixpath
from urllib.parse import quote, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from http1.target import AmbiguousTarget, parse_target

PIECES = st.sampled_from([
    b"/", b"//", b".", b"..", b"%2e", b"%2E", b";", b"%3b", b"%2f", b"%5C", b"\\", b"%25", b"%", b"%00", b"%c0%ae", b"a",
    b"rest", b"%61", b"%C3%A9", b"?", b"#", b" ", b"\xc3", b"x=1", b"[", b"{", b"%20", b"\n",
])  # fmt: skip
nasty = st.lists(PIECES, max_size=10).map(lambda pieces: b"/" + b"".join(pieces))


def parse_or_none(raw):
    try:
        return parse_target(raw)
    except AmbiguousTarget:
        return None


@given(st.one_of(nasty, st.binary(max_size=40)))
def test_what_passes_has_one_reading(raw):
    target = parse_or_none(raw)
    if target is None:
        return
    assert target.raw == raw
    path = raw.partition(b"?")[0]
    assert target.raw_path == path
    decoded = unquote_to_bytes(path).decode("utf-8")
    assert target.path == decoded
    # Decoding again, normalising, or dropping path parameters changes nothing: every peer sees the same resource.
    assert unquote_to_bytes(decoded).decode("utf-8") == decoded
    assert posixpath.normpath(decoded) == (decoded.rstrip("/") or "/")
    assert ";" not in decoded
    assert "\\" not in decoded
    assert "/" + "/".join(target.segments) == (decoded.rstrip("/") or "/")
    assert raw.isascii()
    assert min(raw) > 0x20


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="/\\;%", exclude_categories=["Cc", "Cs"]), min_size=1),
        min_size=1,
    )
)
def test_every_unambiguous_path_passes_when_encoded(segments):
    raw = b"/" + b"/".join(quote(segment, safe="").encode() for segment in segments)
    if any(segment.strip() in {".", ".."} for segment in segments):
        assert parse_or_none(raw) is None
    else:
        assert parse_target(raw).segments == tuple(segments)


@given(nasty)
def test_a_clean_path_and_its_escaped_spelling_mean_the_same(raw):
    target = parse_or_none(raw)
    if target is None or not target.segments:
        return
    escaped = b"/" + b"/".join(quote(segment, safe="").encode() for segment in target.segments)
    assert parse_target(escaped).segments == target.segments
