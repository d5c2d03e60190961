"""When a gap is written, what it covers, and when the heartbeat stands still."""

import json

import pytest

from agent.gap_watch import GapWatch
from agent.spool_records import SpoolError


class FakeSpool:
    def __init__(self):
        self.alive = []
        self.asked = []
        self.is_full = False

    def mark_alive(self, now_ms):
        self.alive.append(now_ms)

    def append(self, record, done):
        self.asked.append((json.loads(record.body), done))

    @property
    def gaps(self):
        return [(gap["cause"], gap["from"], gap["to"]) for gap, _ in self.asked]

    def settle(self, error=None):
        for _, done in self.asked:
            done(error)
        self.asked.clear()


class Scene:
    def __init__(self):
        self.now = 1000
        self.spool = FakeSpool()
        self.watch = GapWatch(self.spool, lambda: self.now, lambda: "e" * 32)

    def beat(self, now):
        self.now = now
        self.watch.beat()


@pytest.fixture
def scene():
    return Scene()


def test_the_first_run_ever_leaves_no_gap_and_beats(scene):
    scene.watch.begin(None)
    scene.beat(3000)
    assert (scene.spool.gaps, scene.spool.alive) == ([], [1000, 3000])


def test_an_earlier_run_leaves_a_gap_from_its_last_beat_and_the_next_beat_waits_for_it(scene):
    scene.watch.begin(400)
    assert scene.spool.gaps == [("agent", 400, 1000)]
    scene.beat(3000)
    assert scene.spool.alive == []
    scene.spool.settle()
    assert (scene.spool.gaps, scene.spool.alive) == ([], [1000])
    scene.beat(5000)
    assert scene.spool.alive == [1000, 5000]


def test_a_gap_that_was_not_kept_is_written_again_and_longer(scene):
    scene.watch.begin(400)
    scene.spool.settle(SpoolError("no space"))
    scene.beat(3000)
    assert (scene.spool.gaps, scene.spool.alive) == ([("agent", 400, 3000)], [])


def test_a_loss_is_written_when_nothing_was_lost_for_a_beat(scene):
    scene.watch.begin(None)
    scene.now = 1500
    scene.watch.lost()
    scene.now = 2500
    scene.watch.lost()
    scene.beat(3000)
    assert scene.spool.gaps == []
    scene.beat(5000)
    assert scene.spool.gaps == [("spool_full", 1500, 5000)]
    assert scene.spool.alive == [1000]


def test_nothing_is_written_while_the_spool_is_full(scene):
    scene.watch.begin(None)
    scene.spool.is_full = True
    scene.watch.lost()
    for now in (3000, 5000, 7000):
        scene.beat(now)
    assert scene.spool.gaps == []
    scene.spool.is_full = False
    scene.beat(9000)
    assert scene.spool.gaps == [("spool_full", 1000, 9000)]


def test_a_loss_while_the_gap_before_it_is_written_is_a_gap_of_its_own(scene):
    scene.watch.begin(None)
    scene.watch.lost()
    scene.beat(3000)
    scene.beat(5000)
    scene.now = 5500
    scene.watch.lost()
    scene.spool.settle()
    scene.beat(7000)
    scene.beat(9000)
    assert scene.spool.gaps == [("spool_full", 5500, 9000)]


def test_a_jira_that_returned_leaves_a_gap_at_once(scene):
    scene.watch.begin(None)
    scene.now = 60_000
    scene.watch.jira_returned(12.5)
    assert scene.spool.gaps == [("jira", 47_500, 60_000)]


def test_gaps_of_two_causes_are_two_records(scene):
    scene.watch.begin(400)
    scene.now = 2000
    scene.watch.jira_returned(1.0)
    assert scene.spool.gaps == [("agent", 400, 1000), ("jira", 1000, 2000)]
    scene.spool.settle()
    assert scene.spool.alive == [2000]
