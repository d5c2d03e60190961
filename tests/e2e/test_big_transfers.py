"""Two attachments at once, up and down: memory stays flat at full speed, and small requests stay quick beside them.

`make soak` does the same with 2 GiB each.
"""

import pytest

from tests.support.transfers import GROWTH_LIMIT, MIB, RSS_LIMITS, transfer

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

SLOWER_AT_MOST = 3.0


def test_four_transfers_at_full_speed_leave_memory_flat(tmp_path):
    figures = transfer(tmp_path, 512 * MIB)
    assert all(figures["rss"][name] < limit for name, limit in RSS_LIMITS.items()), figures
    assert figures["grown"] < GROWTH_LIMIT, figures


def test_a_small_request_stays_quick_beside_four_transfers(tmp_path):
    tries = []
    for number in range(3):  # what else the machine does for some seconds must not count
        tries.append(transfer(tmp_path / str(number), 160 * MIB, rate=20 * MIB))
        if tries[-1]["busy p50 ms"] < SLOWER_AT_MOST * tries[-1]["idle p50 ms"]:
            return
    raise AssertionError(tries)
