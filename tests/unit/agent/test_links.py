"""The number of links follows the line."""

from agent.line import LineCounters
from agent.links import LinkCount


class Line:
    """One link's socket, whose counters a test moves."""

    def __init__(self, least_rtt=0.05):
        self.counters = [0, 0, 0, 0]
        self.rtt = self.least_rtt = least_rtt

    def send(self, segments, *, lost=0):
        return self._count(segments, lost, 0, 0)

    def receive(self, segments, *, disordered=0):
        return self._count(0, 0, segments, disordered)

    def _count(self, *news):
        self.counters = [old + new for old, new in zip(self.counters, news, strict=True)]
        return {0: LineCounters(*self.counters, self.rtt, self.least_rtt)}


def started(minimum=2, maximum=16):
    line = Line()
    count = LinkCount(minimum, maximum)
    count.observe(0.0, line.send(0))
    return count, line


def risen():
    count, line = started()
    for n in (1, 2, 3):
        count.observe(float(n), line.send(1000, lost=10))
    assert count.wanted == 16
    return count, line


def test_it_begins_with_the_minimum():
    assert LinkCount(3, 9).wanted == 3


def test_loss_doubles_it_up_to_the_maximum():
    count, line = started()

    counts = [count.observe(5.0 * n, line.send(1000, lost=5)) for n in range(1, 6)]

    assert counts == [4, 8, 16, 16, 16]


def test_a_few_lost_segments_among_few_say_nothing():
    count, line = started()

    assert count.observe(5.0, line.send(100, lost=3)) == 2


def test_what_the_peer_loses_doubles_it_too():
    count, line = started()

    assert count.observe(5.0, line.receive(1000, disordered=20)) == 4
    assert count.observe(10.0, line.receive(1000, disordered=4)) == 4


def test_loss_in_a_queue_that_we_fill_ourselves_adds_none():
    count, line = started()
    line.rtt = 2 * line.least_rtt

    assert count.observe(5.0, line.send(1000, lost=50)) == 2
    assert count.observe(10.0, line.receive(1000, disordered=50)) == 2


def test_a_line_that_is_busy_and_loses_nothing_gets_no_more():
    count, line = started()

    assert {count.observe(5.0 * n, line.send(20_000)) for n in range(1, 9)} == {2}


def test_traffic_without_trouble_keeps_what_there_is_for_five_minutes():
    count, line = risen()

    seen = [count.observe(5.0 * n, line.send(1000)) for n in range(1, 200)]

    assert set(seen[:59]) == {16}
    assert seen[65] == 8
    assert seen[-1] == 2


def test_it_is_back_at_the_minimum_within_two_minutes_of_quiet():
    count, line = risen()

    seen = {now: count.observe(float(now), line.send(16)) for now in range(5, 125, 5)}

    assert seen[55] == 16
    assert [seen[now] for now in (65, 80, 95)] == [8, 4, 2]
    assert seen[120] == 2


def test_pings_of_many_links_are_no_use_of_them():
    count = LinkCount(2, 32)
    lines = [Line() for _ in range(32)]
    count.wanted = 32

    for now in range(0, 65, 5):
        count.observe(float(now), {number: line.send(8)[0] for number, line in enumerate(lines)})

    assert count.wanted == 16


def test_a_pause_of_half_a_minute_changes_nothing():
    count, line = risen()
    for now in (30, 60, 90):
        assert count.observe(float(now - 5), line.send(3)) == 16
        assert count.observe(float(now), line.send(1000)) == 16


def test_a_new_socket_under_the_same_number_is_not_compared_with_the_old_one():
    count, line = started()
    count.observe(5.0, line.send(10_000))

    assert count.observe(10.0, Line().send(300, lost=300)) == 2


def test_without_counters_nothing_changes():
    count, _ = started()

    assert count.observe(5.0, {}) == 2
