"""A long line: what a round trip costs, and how the number of links follows the loss."""

import time
from contextlib import ExitStack

import pytest

from bench.place import tool
from bench.wan import loads
from bench.wan.network import Line, congestion_controls
from bench.wan.site import OURS, site
from tests.lab.namespaces import LabUnavailable
from tests.support.stack import wait_until

pytestmark = pytest.mark.timeout(300)

TRIP_MS = 50.0
MINIMUM = 2


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    missing = [name for name in ("nginx", "wrk", "curl") if tool(name) is None]
    if missing:
        pytest.skip(f"no lab here: {', '.join(missing)} not installed")
    congestion = "cubic" if "cubic" in congestion_controls() else "reno"
    with ExitStack() as stack:
        try:
            folder = tmp_path_factory.mktemp("wan")
            yield stack.enter_context(site(folder / "site", Line(TRIP_MS / 2, congestion=congestion), (OURS,)))
        except LabUnavailable as reason:
            pytest.skip(f"no lab here: {reason}")


def test_a_request_on_a_fresh_connection_takes_one_round_trip(line):
    found = loads.fresh(line, line.systems[OURS], 20)

    assert TRIP_MS <= found.p50 < 1.5 * TRIP_MS  # ssh -R takes four


@pytest.mark.parametrize("direction", [loads.DOWN, loads.UP])
def test_a_small_request_is_not_held_up_by_bulk(line, tmp_path, direction):
    with loads.endless(line, line.systems[OURS], direction, tmp_path):
        time.sleep(2)
        found = loads.steady(line, line.systems[OURS], 4)

    assert found.p50 < 1.6 * TRIP_MS


@pytest.mark.parametrize("direction", [loads.DOWN, loads.UP])
def test_a_window_is_no_limit_on_a_long_line(line, tmp_path, direction):
    megabytes = loads.transfer(line, line.systems[OURS], direction, tmp_path)

    assert megabytes > 2 * 0.256 / (TRIP_MS / 1000)  # twice what a window of 256 KiB lets through


def test_links_rise_under_loss_and_fall_back_when_it_is_quiet(line):
    assert line.links() == MINIMUM
    line.wan.say("loss 1")
    loads.many(line, line.systems[OURS], 64, 20)
    risen = line.links()
    line.wan.say("loss 0")
    quiet_at = time.monotonic()

    wait_until(lambda: line.links() == MINIMUM, "the links are back at the minimum", 130)

    assert risen >= 3 * MINIMUM
    assert time.monotonic() - quiet_at > 60  # a short pause takes none away
