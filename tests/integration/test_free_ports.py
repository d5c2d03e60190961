"""Programs of tests never get one port for two purposes: not within a process, not beside another one."""

import subprocess
import sys
from itertools import islice

from tests.support.ports import ports
from tests.support.stack import PROJECT

ASKED = 400  # of 10,000: by chance alone some would come twice
SCRIPT = f"""
from tests.support.ports import free_port
print(*(free_port() for _ in range({ASKED})), flush=True)
input()
"""


def test_no_port_is_handed_out_twice_in_a_process():
    asked = list(islice(ports(), ASKED))
    assert len(set(asked)) == ASKED


def test_no_two_processes_hand_out_the_same_port():
    others = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        handed_out = [port for other in others if other.stdout for port in other.stdout.readline().split()]
    finally:
        for other in others:
            other.communicate("\n", timeout=20)
    assert len(handed_out) == len(set(handed_out)) == 4 * ASKED
