"""The body as long as it may have to go again."""

import pytest

from gateway.kept_body import MAX_CHUNKS, KeptBody
from gateway.replay import MAX_KEPT_BODY_BYTES


def test_chunks_are_kept_in_order():
    kept = KeptBody()
    for chunk in (b"a", b"bc", b"d"):
        kept.add(chunk)
    assert (kept.chunks, kept.is_whole) == ([b"a", b"bc", b"d"], True)


def test_exactly_the_limit_is_kept_and_one_byte_more_lets_everything_go():
    kept = KeptBody()
    kept.add(bytes(MAX_KEPT_BODY_BYTES))
    assert kept.is_whole
    kept.add(b"x")
    assert (kept.chunks, kept.is_whole) == ([], False)


def test_what_was_let_go_stays_gone():
    kept = KeptBody()
    kept.forget()
    kept.add(b"x")
    assert (kept.chunks, kept.is_whole) == ([], False)


def test_a_body_in_crumbs_is_not_kept_for_ever():
    kept = KeptBody()
    for _ in range(MAX_CHUNKS):
        kept.add(b"x")
    assert kept.is_whole
    kept.add(b"x")
    assert (kept.chunks, kept.is_whole) == ([], False)


@pytest.mark.parametrize("size", [0, 5])
def test_it_shows_its_size_and_not_its_content(size):
    kept = KeptBody()
    kept.add(b"s" * size)
    assert repr(kept) == f"<KeptBody {size} bytes whole=True>"
