"""What a long-running program leaves out of its memory."""

import subprocess
import sys

PROGRAM = """
import sys
from runtime.lean import import_structlog_lean
import_structlog_lean()
import structlog
assert not any(name.split(".")[0] == "rich" for name in sys.modules), "rich is loaded"
import rich.table  # and may still be loaded by who needs it
structlog.get_logger().info("works")
"""


def test_structlog_comes_without_rich_and_rich_stays_importable():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=20, check=False)

    assert done.returncode == 0, done.stderr
    assert "works" in done.stdout
