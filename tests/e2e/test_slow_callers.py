"""A caller that takes a kibibyte a second: what it makes both programs hold. Ten minutes of it are in tests/soak."""

from http1.memory import WIDE_READ
from tests.support.sluggish import watch_one
from tunnel.budget import HIGH_WATER
from tunnel.windows import MAX_WINDOW


def test_a_caller_that_reads_a_kibibyte_a_second_holds_one_window_at_most(tmp_path):
    received, held = watch_one(tmp_path, 8)

    assert received >= 4 * 1024
    windows = [each.gateway_window for each in held]
    assert 0 < max(windows) <= MAX_WINDOW
    assert max(windows[3:]) <= max(windows[:3])  # once the kernel's buffers are full it grows no more
    assert max(each.agent_waiting for each in held) <= HIGH_WATER + WIDE_READ
