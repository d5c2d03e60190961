"""A storm in a glass of water: a hundred agents and their gateway's outage, simulated with the real waits and pacing.

Discrete events instead of clocks and sockets, so that ten minutes take milliseconds.
"""

import heapq
import random

import pytest

from agent.backoff import Backoff
from gateway.rates import Rates
from gateway.tunnel_listener import OPENS_BURST, OPENS_PER_SECOND

AGENTS = 100
DIAL_SECONDS = 5.0  # an agent's deadline for one dial (docs/contract.md §7)
BACK_SECONDS = 15.0


def reconnect(outage, *, dial_fails_after, seed, agents=AGENTS):
    """Return when each agent's first link was up again, in seconds after the end of an outage that began at 0."""
    dice = random.Random(seed)
    pacing = Rates(OPENS_BURST)
    backoffs = [Backoff(dice=dice.random) for _ in range(agents)]
    up = {}
    queue = []
    for number, backoff in enumerate(backoffs):
        backoff.opened(-3600.0)  # it was stable before
        heapq.heappush(queue, (backoff.failed(0.0), number))
    dials = []
    while queue:
        now, number = heapq.heappop(queue)
        dials.append(now)
        if now < outage:
            ended, retry_after = now + dial_fails_after, 0.0
        else:
            wait = pacing.take("", OPENS_PER_SECOND, now)
            if not wait:
                up[number] = now - outage
                continue
            ended, retry_after = now, 1 + int(wait)  # what the gateway's 503 says
        heapq.heappush(queue, (ended + backoffs[number].failed(ended, retry_after=retry_after), number))
    return up, dials


@pytest.mark.parametrize("dial_fails_after", [0.0, DIAL_SECONDS], ids=["refused", "black hole"])
@pytest.mark.parametrize("outage", [0.5, 5, 60, 300, 600])
def test_a_hundred_agents_are_back_15_seconds_after_an_outage_of_up_to_ten_minutes(outage, dial_fails_after):
    for seed in range(20):
        up, _ = reconnect(outage, dial_fails_after=dial_fails_after, seed=seed)

        assert len(up) == AGENTS
        assert max(up.values()) <= BACK_SECONDS


def test_a_thousand_agents_do_not_dial_in_the_same_moment():
    _, dials = reconnect(600, dial_fails_after=0.0, seed=1, agents=1000)

    seconds = [int(at) for at in dials if 30 < at < 600]
    assert max(seconds.count(second) for second in set(seconds)) < 1000 / 2
    assert len(seconds) / 1000 < 570 / 3, "an agent dials every few seconds at most"


def test_after_a_long_outage_a_gateway_is_not_flooded_by_retries():
    _, dials = reconnect(3600, dial_fails_after=0.0, seed=2)

    late = [at for at in dials if 1000 < at < 3600]
    assert len(late) / AGENTS / 2600 < 1 / 20, "each agent dials at most every 20 s on average"
