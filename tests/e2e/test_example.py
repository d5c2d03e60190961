"""`make example` as its reader runs it: a process of its own, and what it says it did."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.stack import PROJECT


def test_the_example_keeps_another_system_in_step_both_ways():
    with tempfile.TemporaryDirectory(prefix="x-") as folder:  # short: control sockets lie below it
        done = subprocess.run(
            [sys.executable, "-m", "examples"],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        left = list(Path(folder).iterdir())
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "The printer on floor 3 is on fire",
        "From the helpdesk: It was only the toner.",
        "Everything came about.",
    ):
        assert words in done.stdout
    assert left == []
