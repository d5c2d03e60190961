"""The lag of the loop: every sample is counted, the longest is remembered for half a minute to a whole one."""

from runtime.loop_lag import LoopLag


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_the_longest_is_forgotten_after_a_minute():
    clock = Clock()
    lag = LoopLag(clock)
    lag.note(0.4)
    seen = []
    for _ in range(8):
        clock.now += 10
        lag.note(0.001)
        seen.append(lag.longest)
    assert seen == [0.4] * 5 + [0.001] * 3


def test_an_early_timer_counts_as_on_time():
    lag = LoopLag(Clock())
    lag.note(-0.0005)
    assert lag.histogram.counts[0] == 1
    assert (lag.histogram.total, lag.longest) == (0.0, 0.0)
