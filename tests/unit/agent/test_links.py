"""The number of links follows the line."""

from agent.line import LineCounters
from agent.links import LinkCount


class Line:
    """One link's socket, whose counters a test moves."""

    def __init__(self, rtt=0.05):
        self.segments = 0
        self.retransmitted = 0
        self.busy = 0.0
        self.rtt = rtt

    def send(self, segments, *, lost=0, busy=0.0):
        self.segments += segments
        self.retransmitted += lost
        self.busy += busy
        return {0: LineCounters(self.segments, self.retransmitted, self.busy, self.rtt)}


def started(rtt=0.05, minimum=2, maximum=16):
    line = Line(rtt)
    count = LinkCount(minimum, maximum)
    count.observe(0.0, line.send(0))
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


def test_a_long_line_that_is_always_busy_gets_one_more():
    count, line = started()

    assert [count.observe(5.0 * n, line.send(500, busy=4.5)) for n in (1, 2)] == [3, 4]


def test_a_short_line_that_is_always_busy_stays_as_it_is():
    count, line = started(rtt=0.0001)

    assert count.observe(5.0, line.send(100_000, busy=5.0)) == 2


def test_traffic_without_trouble_keeps_what_there_is():
    count, line = started()
    count.observe(5.0, line.send(1000, lost=10))

    assert {count.observe(5.0 * n, line.send(1000)) for n in range(2, 40)} == {4}


def test_quiet_minutes_take_one_away_each_down_to_the_minimum():
    count, line = started()
    for n in (1, 2):
        count.observe(float(n), line.send(1000, lost=10))
    assert count.wanted == 8

    seen = [count.observe(10.0 + 30 * n, line.send(3)) for n in range(20)]

    assert seen[:5] == [8, 8, 7, 7, 6]
    assert seen[-1] == 2


def test_a_new_socket_under_the_same_number_is_not_compared_with_the_old_one():
    count, line = started()
    count.observe(5.0, line.send(10_000))

    assert count.observe(10.0, Line().send(300, lost=300)) == 2


def test_without_counters_nothing_changes():
    count, _ = started()

    assert count.observe(5.0, {}) == 2
