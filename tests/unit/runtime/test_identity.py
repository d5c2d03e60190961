"""Run as root, a command becomes the owner of the state directory; nobody else changes."""

import os
import pwd
from types import SimpleNamespace

import pytest

from runtime import identity
from runtime.configuration import ConfigurationError
from runtime.exits import CONFIGURATION
from runtime.identity import act_as_owner, actor, ensure_state_directory


@pytest.fixture
def calls(monkeypatch):
    made = []
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(identity.os, name, lambda value, name=name: made.append((name, value)))
    monkeypatch.setattr(identity.os, "geteuid", lambda: 0)
    return made


def directory(uid=1234, gid=1235, *, exists=True):
    return SimpleNamespace(exists=lambda: exists, stat=lambda: SimpleNamespace(st_uid=uid, st_gid=gid))


def test_root_becomes_the_owner_groups_first(calls):
    act_as_owner(directory(uid=987_654, gid=1235))
    assert calls == [("setgroups", [1235]), ("setgid", 1235), ("setuid", 987_654)]


def test_the_owner_keeps_its_groups(calls, monkeypatch):
    monkeypatch.setattr(identity.pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="svc"))
    monkeypatch.setattr(identity.os, "getgrouplist", lambda name, gid: [gid, 77])
    act_as_owner(directory())
    assert calls[0] == ("setgroups", [1235, 77])


def test_roots_own_directory_and_one_that_is_missing_change_nothing(calls):
    act_as_owner(directory(uid=0))
    act_as_owner(directory(exists=False))
    assert calls == []


def test_others_stay_who_they_are(calls, monkeypatch):
    monkeypatch.setattr(identity.os, "geteuid", lambda: 1000)
    act_as_owner(directory())
    assert calls == []


def test_the_actor_is_a_name_or_a_number(monkeypatch):
    assert actor() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(identity.os, "getuid", lambda: 987_654)
    assert actor() == "uid 987654"


def test_the_state_directory_is_private_and_made_once(tmp_path):
    path = tmp_path / "a" / "state"
    ensure_state_directory(path, "JIRA_X_")
    ensure_state_directory(path, "JIRA_X_")
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_state_directory_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError) as failure:
        ensure_state_directory(tmp_path / "file" / "state", "JIRA_X_")
    assert failure.value.status == CONFIGURATION
    assert failure.value.variable == "JIRA_X_STATE_DIR"
    assert "\n" not in failure.value.line


def test_a_state_directory_beside_the_units_is_a_configuration_error(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/jira-agent/hq")
    with pytest.raises(ConfigurationError) as failed:
        ensure_state_directory(tmp_path, "JIRA_AGENT_")
    assert failed.value.variable == "JIRA_AGENT_STATE_DIR"
    assert failed.value.fix == "set it to /var/lib/jira-agent/hq in the env file"


def test_a_state_directory_of_the_unit_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", f"/var/lib/other:{tmp_path / 'state'}")
    ensure_state_directory(tmp_path / "state", "JIRA_AGENT_")
    assert (tmp_path / "state").is_dir()
