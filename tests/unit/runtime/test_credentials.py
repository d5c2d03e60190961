"""Whose credentials a process finds: its own, or those of the unit that a person's command is about."""

from pathlib import Path

import pytest

from runtime import credentials
from runtime.credentials import find_credential

DEFAULT = Path("/etc/jira-agent/agent.env")
NAME = "jira_agent_jira_token"


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Write a file below stand-ins for /run/credentials and /etc/credstore, and return it."""
    monkeypatch.setattr(credentials, "RUNNING", tmp_path / "running")
    monkeypatch.setattr(credentials, "STORE", tmp_path / "store")

    def write(*parts):
        path = tmp_path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
        return path

    return write


def test_a_process_of_systemd_finds_its_own_and_no_others(stored, tmp_path):
    own = stored("own", NAME)
    stored("store", NAME)
    assert find_credential(NAME, str(tmp_path / "own"), DEFAULT, None) == own
    assert find_credential(NAME, str(tmp_path / "empty"), DEFAULT, None) is None


def test_a_command_finds_those_of_the_running_unit_first(stored):
    plain = stored("store", NAME)
    assert find_credential(NAME, None, DEFAULT, None) == plain
    running = stored("running", "jira-agent.service", NAME)
    assert find_credential(NAME, None, DEFAULT, None) == running
    assert find_credential(NAME, None, DEFAULT, DEFAULT) == running


def test_a_command_for_an_instance_finds_that_ones(stored):
    stored("running", "jira-agent.service", NAME)
    stored("store", NAME)
    north = Path("/etc/jira-agent/north.env")
    assert find_credential(NAME, None, DEFAULT, north) is None
    plain = stored("store", f"{NAME}.north")
    assert find_credential(NAME, None, DEFAULT, north) == plain
    running = stored("running", "jira-agent@north.service", NAME)
    assert find_credential(NAME, None, DEFAULT, north) == running


def test_an_env_file_elsewhere_belongs_to_no_unit(stored):
    stored("store", NAME)
    stored("store", f"{NAME}.agent")
    assert find_credential(NAME, None, DEFAULT, Path("/home/somebody/agent.env")) is None


def test_what_may_not_be_looked_at_is_not_there(monkeypatch):
    def refuse(self):
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    assert find_credential(NAME, None, DEFAULT, None) is None
