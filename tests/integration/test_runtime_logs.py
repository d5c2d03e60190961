"""Logs that never wait: a reader of standard error that stops reading costs lines and nothing else."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

from runtime.log_writer import LogWriter
from tests.support.stack import PROJECT, wait_until


@contextmanager
def pipe():
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def test_a_pipe_that_nobody_reads_stops_nobody_and_what_is_lost_is_counted():
    told = []
    line = "x" * 999 + "\n"
    with pipe() as (reading, writing), LogWriter(writing, limit=200_000, dropped=told.append) as writer:
        begin = time.monotonic()
        taken = sum(writer.add(line) for _ in range(5000))
        assert time.monotonic() - begin < 5
        assert taken < 5000, "five megabytes found room in a pipe and 200 kB"
        assert writer.dropped == 5000 - taken
        assert writer.add_urgent("urgent\n"), "what matters more has room where ordinary lines have none"
        assert not writer.close(0.2), "it does not wait for ever either"
        found = b""
        while b"urgent\n" not in found:
            found += os.read(reading, 65536)
    assert found.count(b"\n") == taken + 1
    assert told == [5000 - taken]


def test_once_it_is_read_again_the_number_of_lost_lines_is_told():
    told = []
    with pipe() as (reading, writing), LogWriter(writing, limit=100_000, dropped=told.append) as writer:
        while writer.add("y" * 999 + "\n"):
            pass
        os.set_blocking(reading, False)

        def read():
            with suppress(BlockingIOError):
                os.read(reading, 65536)
            return told

        wait_until(read, "it is told", 10)
        assert told == [1]
        assert writer.add("again\n")


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing():
    with pipe() as (reading, writing):
        os.set_blocking(writing, False)
        with LogWriter(writing) as writer:
            for number in range(300):
                assert writer.add(f"{number:03}" + "z" * 996 + "\n")
            found = b""
            while found.count(b"\n") < 300:
                found += os.read(reading, 65536)
    assert [int(line[:3]) for line in found.splitlines()] == list(range(300))


def test_a_reader_that_is_gone_ends_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    with LogWriter(writing) as writer:
        writer.add("x\n")
        wait_until(lambda: "waiting=0" in repr(writer), "the line is given up", 5)
        assert writer.add("y\n")
    os.close(writing)


PROGRAM = """
import logging, os, sys, warnings
import structlog
from runtime import logs
with logs.apart("info", "auto") as lines:
    structlog.get_logger().info("first", reason="a\\nb")
    lines.write(lines.form.prefix("info") + '{"event":"request"}\\n')
    structlog.get_logger().warning("third")
    logging.getLogger("websockets").error("a library says %s", "no\\nmore")
    warnings.warn("deprecated", stacklevel=1)
raise RuntimeError("the end")
"""


def lines_of(**options):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT, timeout=30, check=False, capture_output=True, **options
    )
    assert done.returncode == 1
    return done.stderr.decode().splitlines()


def test_everything_that_is_said_is_one_object_per_line_in_order_and_nothing_is_lost_at_the_end():
    told = [json.loads(line) for line in lines_of()]
    assert [line["event"] for line in told] == ["first", "request", "third", "library", "library", "crashed"]
    assert told[3]["text"] == "a library says no\nmore"
    assert "the end" in told[5]["exception"]


def test_under_journald_each_line_begins_with_its_priority_and_elsewhere_none_does(tmp_path):
    script = f"""
import os, subprocess, sys
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{{status.st_dev}}:{{status.st_ino}}"
{PROGRAM}
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, timeout=30, check=False, capture_output=True, text=True
    )
    lines = done.stderr.splitlines()
    assert [line[:3] for line in lines] == ["<6>", "<6>", "<4>", "<3>", "<4>", "<3>"]
    assert [json.loads(line[3:])["event"] for line in lines][:3] == ["first", "request", "third"]
    elsewhere = lines_of(env={**os.environ, "JOURNAL_STREAM": "1:2"})
    assert all(line.startswith("{") for line in elsewhere)
