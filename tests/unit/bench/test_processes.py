"""What /proc says of this very process."""

import os
import time

from bench import processes


def test_a_process_is_its_own_first_descendant():
    assert processes.descendants(os.getpid())[0] == os.getpid()
    assert os.getpid() in processes.descendants(os.getppid())


def test_cpu_and_memory_of_a_process_that_works_are_seen():
    before = processes.cpu_seconds([os.getpid()])
    total = sum(number * number for number in range(600_000))
    assert total > 0
    assert processes.cpu_seconds([os.getpid()]) >= before > 0
    assert 5 < processes.rss_mib([os.getpid()]) < 5000


def test_memory_of_several_is_their_sum():
    one = processes.rss_mib([os.getpid()])
    assert abs(processes.rss_mib([os.getpid()] * 2) - 2 * one) < 10


def test_a_process_that_has_ended_counts_nothing():
    gone = 2**22 + 1  # above the largest process id of Linux
    assert processes.cpu_seconds([gone]) == processes.rss_mib([gone]) == 0
    assert processes.listens(gone, 80) is False


def test_what_we_use_ourselves_is_not_what_others_use():
    own, busy, others = processes.own_seconds(), processes.busy_seconds(), processes.Others()
    started = time.process_time()
    while time.process_time() - started < 0.3:
        sum(range(10_000))
    assert 0.25 < processes.own_seconds() - own < 3
    assert processes.busy_seconds() - busy > 0.2
    assert 0 <= others.share() <= 1.05
