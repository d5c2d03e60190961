"""What the doctor finds on its own machine: settings, state directory, certificate."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from agent.addresses import GatewayAddress
from agent.doctor.check import Circumstances
from agent.doctor.machine import check_certificate, check_settings, check_state, judge_dates
from agent.identity import read_identity, store_identity
from agent.settings import AgentSettings
from certs.keys import make_key
from tests.support.agent_identity import issue_agent

GATEWAY = GatewayAddress("gateway.example", 8443)


@pytest.fixture
def given(tmp_path):
    def make(**settings):
        return Circumstances(AgentSettings(**{"state_dir": tmp_path / "state", **settings}), None, lambda _: None)

    return make


@pytest.fixture
def state(tmp_path):
    """An enrolled state directory."""
    key = make_key()
    store_identity(tmp_path / "state", key, *issue_agent(key), GATEWAY)
    return tmp_path / "state"


def test_settings_that_cannot_be_used_are_named(given, tmp_path):
    assert check_settings(given()).result == "pass"
    found = check_settings(given(policy_profile="everything"))
    assert (found.result, "JIRA_AGENT_POLICY_PROFILE" in found.detail, found.action != "") == ("fail", True, True)
    found = check_settings(
        given(webhook_listen="127.0.0.1:0", webhook_cert_file=tmp_path / "no", webhook_key_file=tmp_path / "no")
    )
    assert "JIRA_AGENT_WEBHOOK_CERT_FILE" in found.detail


def test_a_state_directory_that_is_not_there_yet_is_no_failure(given):
    assert check_state(given()).result == "skip"


def test_a_state_directory_in_good_order_passes(given, state):
    assert check_state(given()).result == "pass"


@pytest.mark.parametrize(("name", "mode"), [("", 0o750), ("agent.pem", 0o640), ("spool.db", 0o644)])
def test_whatever_others_can_reach_fails_with_the_command_that_mends_it(given, state, name, mode):
    path = state / name
    if name:
        path.touch()
    path.chmod(mode)
    found = check_state(given())
    assert (found.result, found.action.split()[0], str(state) in found.action) == ("fail", "chmod", True)


def test_a_half_removed_identity_fails(given, state):
    (state / "gateway-ca.pem").unlink()
    assert "gateway-ca.pem is missing" in check_state(given()).detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_fails(given, state):
    os.chown(state / "agent.pem", 65534, 65534)
    found = check_state(given())
    assert (found.result, found.action.startswith("chown")) == ("fail", True)


def test_a_full_disk_fails_and_one_too_small_for_the_spool_is_told(given, state, monkeypatch):
    monkeypatch.setattr("agent.doctor.machine.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
    assert check_state(given()).result == "fail"
    monkeypatch.setattr("agent.doctor.machine.shutil.disk_usage", lambda _: type("Usage", (), {"free": 200 << 20}))
    assert check_state(given()) == check_state(given(webhook_listen=None))
    found = check_state(given(webhook_listen="127.0.0.1:0"))
    assert (found.result, "1024 MiB" in found.action) == ("pass", True)


def test_before_enrolment_there_is_no_certificate(given):
    found, identity = check_certificate(given())
    assert (found.result, identity) == ("skip", None)


def test_a_key_of_another_certificate_fails(given, state):
    other = issue_agent(make_key())[0]
    pair = (state / "agent.pem").read_bytes()
    key = pair[: pair.index(b"-----BEGIN CERTIFICATE")]
    (state / "agent.pem").write_bytes(key + other)
    found, identity = check_certificate(given())
    assert (found.result, "does not belong" in found.detail, identity) == ("fail", True, None)


def test_rubbish_in_the_place_of_the_certificate_fails(given, state):
    (state / "agent.pem").write_text("nothing")
    assert check_certificate(given())[0].result == "fail"


@pytest.mark.parametrize(
    ("days", "result", "words"),
    [
        (-1, "fail", "not valid before"),
        (1, "pass", "renewal due on"),
        (4, "pass", "renewal due since"),
        (6, "fail", "overdue"),
        (8, "fail", "ended on"),
    ],
)
def test_dates_mean_what_they_say(given, state, days, result, words):
    found = judge_dates(read_identity(state), datetime.now(UTC) + timedelta(days=days))
    assert (found.result, words in found.detail) == (result, True)
    assert (found.action != "") == (result == "fail")
