"""The switch and its file: what counts when, and that it fails closed."""

import json
from pathlib import Path

import pytest

from agent import switch as module
from agent.switch import FILE_NAME, Switch
from agent.switch_state import Mode, SwitchState, encode
from certs.errors import FileUnusable
from runtime.exits import USAGE, CommandFailed

NOW = 1_700_000_000_000


@pytest.fixture
def directory(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def test_without_a_file_it_is_open_and_writes_none(directory):
    switch = Switch(directory, lambda: NOW)
    assert (switch.is_open, switch.is_paused, switch.is_read_only, switch.problem) == (True, False, False, None)
    assert list(directory.iterdir()) == []


async def test_an_order_counts_at_once_and_after_a_restart(directory):
    switch = Switch(directory, lambda: NOW)
    heard = []
    switch.on_change = heard.append

    await switch.turn(Mode.PAUSED, {"reason": "upgrade", "seconds": 60}, "root")
    assert switch.is_paused
    assert heard == [switch.state]
    assert (directory / FILE_NAME).stat().st_mode & 0o777 == 0o600
    again = Switch(directory, lambda: NOW + 59_999)
    assert again.state == switch.state
    assert again.state.by == "root"
    assert Switch(directory, lambda: NOW + 60_000).is_open

    await switch.turn(Mode.READ_ONLY, {}, "root")
    assert switch.is_read_only
    assert Switch(directory, lambda: NOW).is_read_only
    await switch.turn(Mode.OPEN, {}, "root")
    await switch.turn(Mode.OPEN, {}, "root")
    assert Switch(directory, lambda: NOW).is_open


@pytest.mark.parametrize("damage", [b"", b"garbage", b'{"mode":"open"}', encode(SwitchState())[:-9]])
def test_a_damaged_file_means_paused_and_says_what_to_do(directory, damage):
    (directory / FILE_NAME).write_bytes(damage)
    (directory / FILE_NAME).chmod(0o600)
    switch = Switch(directory, lambda: NOW)
    assert switch.is_paused
    assert FILE_NAME in switch.problem
    assert "jira-agent resume" in switch.problem


def test_a_file_that_others_may_write_or_that_is_none_means_paused(directory):
    path = directory / FILE_NAME
    path.write_bytes(encode(SwitchState()))
    path.chmod(0o666)
    assert Switch(directory, lambda: NOW).is_paused
    path.unlink()
    path.mkdir()
    assert Switch(directory, lambda: NOW).is_paused
    path.rmdir()
    path.symlink_to(directory / "nowhere")
    assert Switch(directory, lambda: NOW).is_paused


async def test_an_order_mends_a_damaged_file(directory):
    (directory / FILE_NAME).write_bytes(b"garbage")
    (directory / FILE_NAME).chmod(0o600)
    switch = Switch(directory, lambda: NOW)
    await switch.turn(Mode.OPEN, {}, "root")
    assert (switch.is_open, switch.problem) == (True, None)
    assert json.loads((directory / FILE_NAME).read_text())["mode"] == "open"


async def test_when_the_disk_refuses_the_narrower_position_counts(directory, monkeypatch):
    def refuse(path: Path, content: bytes) -> None:
        raise FileUnusable(path, "cannot be used (No space left on device)", "make room")

    switch = Switch(directory, lambda: NOW)
    monkeypatch.setattr(module, "write_private", refuse)
    with pytest.raises(CommandFailed, match="paused now, but not after a restart"):
        await switch.turn(Mode.PAUSED, {}, "root")
    assert switch.is_paused
    assert "could not be written" in switch.problem
    with pytest.raises(CommandFailed, match="nothing changed, still paused"):
        await switch.turn(Mode.OPEN, {}, "root")
    assert switch.is_paused


@pytest.mark.parametrize(
    "arguments", [{"seconds": 0}, {"seconds": "60"}, {"seconds": 1e12}, {"reason": "a\nb"}, {"reason": "x" * 500}]
)
async def test_an_order_that_makes_no_sense_changes_nothing(directory, arguments):
    switch = Switch(directory, lambda: NOW)
    with pytest.raises(CommandFailed) as failed:
        await switch.turn(Mode.PAUSED, arguments, "root")
    assert failed.value.status == USAGE
    assert switch.is_open


def test_gateways_are_told_position_and_reason(directory):
    assert Switch(directory, lambda: NOW).news() == {b"switch": b"open", b"switch-reason": b""}
