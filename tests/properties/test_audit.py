"""Whatever is done to a written audit log, verify says so: every bit, every line that is cut out, moved or doubled."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audit_check import verify
from agent.audit_entries import NoteEntry, RequestEntry
from agent.audit_file import AuditFile, audit_files

some_bytes = st.binary(max_size=40)
requests = st.builds(
    RequestEntry, st.just(1.7e9), some_bytes, some_bytes, some_bytes, some_bytes, some_bytes,
    st.none() | st.text(max_size=10), st.just("answered"), st.integers(0, 599), st.just(0), st.just(0), st.just(0.1),
)  # fmt: skip


def problems(directory):
    return verify(directory, None, lambda seconds: None).problems


def write(directory, entries):
    file = AuditFile(directory, 1 << 20, lambda: 1.7e9)
    file.open()
    file.append(entries)
    file.close()
    [path] = audit_files(directory)
    return path


@given(st.lists(requests, min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_whatever_requests_hold_the_log_is_whole(entries):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "audit", entries)
        assert path.read_bytes().count(b"\n") == len(entries) + 1
        assert problems(path.parent) == []


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = write(
        tmp_path_factory.mktemp("state") / "audit",
        [NoteEntry(1.7e9, "start", {"version": "1"}), *(
            RequestEntry(1.7e9, b"ci", b"r%d" % n, b"hq", b"GET", b"/x", "r", "answered", 200, 0, n, 0.1) for n in range(4)
        )],
    )  # fmt: skip
    return path, path.read_bytes()


def test_every_single_bit_counts(log):
    path, whole = log
    missed = []
    for place in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            if not problems(path.parent):
                missed.append((place, bit))
    path.write_bytes(whole)
    assert missed == []


def test_every_line_counts_and_its_place(log):
    path, whole = log
    lines = whole.splitlines(keepends=True)
    last = len(lines) - 1
    for place in range(len(lines)):
        variants = [lines[:place] + lines[place:][1:]] if place != last else []  # the end shows by a kept head only
        variants += [[*lines[: place + 1], lines[place], *lines[place + 1 :]]]
        variants += [[*lines[:place], lines[other], *lines[place:]] for other in range(len(lines)) if other != place]
        if place < last:
            variants.append([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]])
        for variant in variants:
            path.write_bytes(b"".join(variant))
            assert problems(path.parent), variant
    path.write_bytes(whole)
    assert problems(path.parent) == []
