"""The body as long as it may have to go again."""

import pytest

from gateway.kept_body import MAX_CHUNKS, KeptBody, KeptRoom
from gateway.replay import MAX_KEPT_BODY_BYTES


def test_chunks_are_kept_in_order():
    kept = KeptBody(KeptRoom())
    for chunk in (b"a", b"bc", b"d"):
        kept.add(chunk)
    assert (kept.chunks, kept.is_whole) == ([b"a", b"bc", b"d"], True)


def test_exactly_the_limit_is_kept_and_one_byte_more_lets_everything_go():
    kept = KeptBody(KeptRoom())
    kept.add(bytes(MAX_KEPT_BODY_BYTES))
    assert kept.is_whole
    kept.add(b"x")
    assert (kept.chunks, kept.is_whole) == ([], False)


def test_what_was_let_go_stays_gone():
    kept = KeptBody(KeptRoom())
    kept.forget()
    kept.add(b"x")
    assert (kept.chunks, kept.is_whole) == ([], False)


def test_a_body_in_crumbs_is_not_kept_for_ever():
    kept = KeptBody(KeptRoom())
    for _ in range(MAX_CHUNKS):
        kept.add(b"x")
    assert kept.is_whole
    kept.add(b"x")
    assert (kept.chunks, kept.is_whole) == ([], False)


@pytest.mark.parametrize("size", [0, 5])
def test_it_shows_its_size_and_not_its_content(size):
    kept = KeptBody(KeptRoom())
    kept.add(b"s" * size)
    assert repr(kept) == f"<KeptBody {size} bytes whole=True>"


def test_all_bodies_share_one_room():
    room = KeptRoom(10)
    first, second, third = KeptBody(room), KeptBody(room), KeptBody(room)
    first.add(b"a" * 6)
    second.add(b"b" * 5)
    third.add(b"c" * 4)

    assert (first.is_whole, second.is_whole, third.is_whole) == (True, False, True)
    assert repr(room) == "<KeptRoom 10/10>"


def test_what_is_let_go_makes_room_once():
    room = KeptRoom(10)
    body = KeptBody(room)
    body.add(b"a" * 6)
    body.forget()
    body.forget()
    body.add(b"b" * 6)
    assert room.used == 0


def test_a_body_that_outgrows_the_room_gives_back_what_it_had():
    room = KeptRoom(10)
    body = KeptBody(room)
    body.add(b"a" * 6)
    body.add(b"b" * 6)
    assert (body.is_whole, room.used) == (False, 0)
