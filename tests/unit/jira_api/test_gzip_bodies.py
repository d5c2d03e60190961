"""Rewriting below gzip: bounded, complete, and honest about damage."""

import gzip
import zlib

import pytest

from jira_api.gzip_bodies import BodyUnreadable, GzipBodyRewriter


class Upper:
    """A rewriter whose work is easy to see."""

    def __init__(self):
        self.largest = 0

    def feed(self, chunk):
        self.largest = max(self.largest, len(chunk))
        return chunk.upper()

    def finish(self):
        return b"!"


def rewrite(coded, step=7):
    body = GzipBodyRewriter(Upper())
    pieces = [body.feed(coded[start : start + step]) for start in range(0, len(coded), step)]
    return b"".join([*pieces, body.finish()])


@pytest.mark.parametrize("step", [1, 2, 7, 100_000])
def test_a_body_is_unpacked_rewritten_and_packed_again(step):
    assert gzip.decompress(rewrite(gzip.compress(b"hello " * 100, mtime=0), step)) == b"HELLO " * 100 + b"!"


@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_several_members_are_one_body(step):
    assert gzip.decompress(rewrite(gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), step)) == b"AB!"


def test_plain_text_is_handled_in_bounded_slices():
    plain = Upper()
    body = GzipBodyRewriter(plain)
    body.feed(gzip.compress(b"x" * 900_000, mtime=0))
    assert plain.largest == 64 * 1024


def test_no_bytes_stay_no_bytes():
    assert GzipBodyRewriter(Upper()).finish() == b""


def test_a_cut_body_is_an_error_and_not_an_end():
    body = GzipBodyRewriter(Upper())
    body.feed(gzip.compress(b"hello", mtime=0)[:-3])
    with pytest.raises(BodyUnreadable) as failure:
        body.finish()
    assert failure.value.reason == "its gzip data is cut"


@pytest.mark.parametrize(
    "coded", [b"plain text", gzip.compress(b"hello", mtime=0)[:-4] + b"0000", b"\x1f\x8b\x07" + bytes(9)]
)
def test_damage_is_an_error(coded):
    with pytest.raises(BodyUnreadable) as failure:
        rewrite(coded, 100)
    assert failure.value.reason == "its gzip data is damaged"


def test_bytes_after_the_end_are_an_error():
    with pytest.raises(BodyUnreadable) as failure:
        rewrite(gzip.compress(b"a", mtime=0) + b"tail", 100)
    assert failure.value.reason == "bytes follow its gzip data"


def test_a_bomb_is_refused_before_it_is_unpacked():
    plain = Upper()
    body = GzipBodyRewriter(plain)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(64)) + packer.flush()
    with pytest.raises(BodyUnreadable) as failure:
        body.feed(bomb)
    assert failure.value.reason == "it unpacks to more than 200 times its size"


def test_repetitive_but_small_answers_are_no_bombs():
    plain = b'{"a":1},' * 100_000
    assert gzip.decompress(rewrite(gzip.compress(plain, mtime=0), 1000)) == plain.upper() + b"!"
