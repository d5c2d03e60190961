"""Sums of what links carried."""

from tunnel.traffic import Traffic


def test_links_are_added_up():
    total = Traffic(1, 2, 0.5)
    total.add(Traffic(10, 20, 1.5))
    assert total == Traffic(11, 22, 2.0)
