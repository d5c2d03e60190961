"""The deterministic bytes of big downloads."""

import hashlib

from tests.support.fake_jira.pattern import PERIOD, PatternCheck, pattern_bytes, pattern_sha256


def test_a_later_start_continues_the_same_bytes():
    whole = pattern_bytes(3 * PERIOD + 17)
    assert len(whole) == 3 * PERIOD + 17
    assert pattern_bytes(PERIOD, 2 * PERIOD - 5) == whole[2 * PERIOD - 5 : 3 * PERIOD - 5]
    assert pattern_sha256(len(whole)) == hashlib.sha256(whole).hexdigest()


def test_swapped_blocks_are_noticed():
    data = pattern_bytes(4 * 65536)
    right, wrong = PatternCheck(), PatternCheck()
    for start in range(0, len(data), 10_000):
        right.take(data[start : start + 10_000])
    wrong.take(data[65536:131072] + data[:65536])
    assert right.matches
    assert not wrong.matches
