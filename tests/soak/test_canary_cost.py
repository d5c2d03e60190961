"""What the canaries of 2,000 idle links cost the gateway: its processor time with them and without them."""

import os
import sys
import time
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.stack import Stack, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INSTANCES, LINKS = 100, 20
SECONDS = 30.0
MOST = 0.15  # of one core
SILENT = (
    "import gateway.canary_watch as watch; watch.CanaryWatch.look = lambda self, now: None; "
    "from gateway.__main__ import main; main()"
)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load_of_idle_links(folder, arguments=None):
    """The part of a core that the gateway uses while 2,000 links do nothing."""
    with Stack(folder, "http://127.0.0.1:1") as stack:
        if arguments:
            stack.gateway.arguments = arguments
        stack.start_gateway()
        stack.must("agents", "invite", "hq")
        with Fleet(folder / "fleet", stack, INSTANCES, LINKS):
            wait_until(lambda: stack.count_links("hq") >= INSTANCES * LINKS, "all links", 240)
            time.sleep(5)
            before = processor_seconds(stack.gateway.pid)
            time.sleep(SECONDS)
            used = (processor_seconds(stack.gateway.pid) - before) / SECONDS
            assert stack.count_links("hq") >= INSTANCES * LINKS
            return used


def test_canaries_of_2000_idle_links_cost_little(tmp_path, capsys):
    without = load_of_idle_links(tmp_path / "without", [sys.executable, "-c", SILENT, "run"])
    with_them = load_of_idle_links(tmp_path / "with")

    with capsys.disabled():
        sys.stdout.write(
            f"\n{INSTANCES * LINKS} idle links: {without:.1%} of a core without canaries, {with_them:.1%} with\n"
        )
    assert with_them - without < MOST
