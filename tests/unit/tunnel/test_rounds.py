"""How all links of a loop are looked at by one timer."""

from types import SimpleNamespace

from tunnel.rounds import PARTS, Rounds, rounds_of


class Loop:
    """Runs its one timer when it is told to."""

    def __init__(self):
        self.due = None
        self.delays = []

    def call_later(self, delay, callback):
        self.due = callback
        self.delays.append(delay)
        return SimpleNamespace(cancel=self.cancel)

    def cancel(self):
        self.due = None

    def pass_tick(self):
        for _ in range(PARTS):
            if self.due is not None:
                callback, self.due = self.due, None
                callback()


class Link:
    def __init__(self, look=lambda: None):
        self.looks = 0
        self.act = look

    def look(self):
        self.looks += 1
        self.act()


def test_everyone_is_looked_at_once_a_tick_and_a_tenth_at_a_time():
    loop = Loop()
    rounds = Rounds(loop, 1.0)
    links = [Link() for _ in range(95)]
    for link in links:
        rounds.add(link)
    loop.due()
    assert sum(link.looks for link in links) == 10
    for _ in range(PARTS - 1):
        loop.due()
    assert {link.looks for link in links} == {1}
    assert set(loop.delays) == {0.1}


def test_who_has_left_is_not_looked_at_and_without_anybody_there_is_no_timer():
    loop = Loop()
    rounds = Rounds(loop, 1.0)
    links = [Link(), Link()]
    for link in links:
        rounds.add(link)
    rounds.discard(links[0])
    loop.pass_tick()
    rounds.discard(links[1])
    rounds.discard(links[1])
    assert loop.due is None
    loop.pass_tick()
    assert [link.looks for link in links] == [0, 1]
    rounds.add(links[0])
    loop.pass_tick()
    assert links[0].looks == 1


def test_a_look_may_end_links():
    loop = Loop()
    rounds = Rounds(loop, 1.0)
    links = [Link() for _ in range(2 * PARTS)]
    for link in links:
        link.act = lambda: [rounds.discard(each) for each in links]
        rounds.add(link)
    loop.pass_tick()
    assert loop.due is None
    assert sum(link.looks for link in links) == 1


def test_a_loop_has_one_round_for_each_tick():
    class OfALoop(Loop):
        pass

    one, other = OfALoop(), OfALoop()
    assert rounds_of(one, 1.0) is rounds_of(one, 1.0)
    assert rounds_of(one, 1.0) is not rounds_of(one, 0.1)
    assert rounds_of(one, 1.0) is not rounds_of(other, 1.0)
