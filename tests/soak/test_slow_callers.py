"""Callers and a Jira that take their time: hundreds at once, and one for ten minutes."""

import sys
import time

import pytest

from http1.memory import WIDE_READ
from tests.support.callers import ask, bearer
from tests.support.sluggish import LOGIN, QUICK, Held, SlowCallers, SluggishJira, watch_one
from tests.support.stack import Stack
from tests.support.transfers import MIB, resident
from tunnel.budget import HIGH_WATER
from tunnel.windows import MAX_WINDOW

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MANY = 500
FILLING_SECONDS = 15  # of buffers; the stand-in is too busy then to be quick
SECONDS = 25
GROWTH = 96 * MIB  # twice the budget: it counts bodies, not sockets, objects and the holes that the allocator keeps
QUICK_SECONDS = 2.0


@pytest.mark.parametrize("way", ["download", "upload"])
def test_500_slow_callers_stay_within_the_budget_and_one_more_is_served(tmp_path, capsys, way):
    with SluggishJira() as jira, Stack(tmp_path / "stack", jira.url, log_level="error") as stack:
        agent = stack.start_gateway().enroll("hq", **LOGIN, JIRA_AGENT_MAX_CONCURRENCY="2000").start_and_wait()
        token = stack.connect("hq")
        programs = {"gateway": stack.gateway.pid, "agent": agent.pid}
        before = {name: resident(pid) for name, pid in programs.items()}
        grown, held, quick = dict.fromkeys(programs, 0), [], []
        with SlowCallers(stack, token) as slow:
            getattr(slow, way)(MANY)
            time.sleep(FILLING_SECONDS)
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(1)
                reply = ask(f"{stack.url}/jira/hq", "GET", QUICK, None, [bearer(token)], timeout=30)
                assert reply.status == 200, reply
                quick.append(reply.seconds)
                held.append(Held.now(stack, agent))
                grown = {name: max(grown[name], resident(pid) - before[name]) for name, pid in programs.items()}
            refused = slow.ended
    with capsys.disabled():
        at_gateway, at_agent = (
            max((getattr(each, f"{side}_window"), getattr(each, f"{side}_waiting")) for each in held)
            for side in ("gateway", "agent")
        )
        sys.stdout.write(
            f"\n{MANY} slow {way}s, {refused} refused: windows and what waits "
            f"{at_gateway[0] / MIB:.1f} + {at_gateway[1] / MIB:.1f} MiB at the gateway, "
            f"{at_agent[0] / MIB:.1f} + {at_agent[1] / MIB:.1f} MiB at the agent; memory "
            f"+{grown['gateway'] / MIB:.0f} and +{grown['agent'] / MIB:.0f} MiB; one more takes {sorted(quick)[len(quick) // 2]:.3f} s, "
            f"{max(quick):.3f} at most\n"
        )
    assert all(each.is_within_budget for each in held)
    assert max(grown.values()) < GROWTH
    assert max(quick) < QUICK_SECONDS
    assert way == "upload" or not refused


def test_ten_minutes_at_a_kibibyte_a_second_hold_one_window_at_most(tmp_path):
    received, held = watch_one(tmp_path, 600)

    assert received >= 500 * 1024
    windows = [each.gateway_window for each in held]
    assert 0 < max(windows) <= MAX_WINDOW
    assert max(windows[3:]) <= max(windows[:3])  # once the kernel's buffers are full it grows no more
    assert max(each.agent_waiting for each in held) <= HIGH_WATER + WIDE_READ
