"""Four transfers of 2 GiB at once: memory stays flat, however long they take."""

import pytest

from tests.support.transfers import GROWTH_LIMIT, MIB, RSS_LIMITS, transfer

pytestmark = pytest.mark.timeout(600)


def test_four_transfers_of_2_gib_at_full_speed_leave_memory_flat(tmp_path):
    figures = transfer(tmp_path, 2048 * MIB)
    assert all(figures["rss"][name] < limit for name, limit in RSS_LIMITS.items()), figures
    assert figures["grown"] < GROWTH_LIMIT, figures
