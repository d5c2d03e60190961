"""Every check of the doctor tells pass from fail, and says what to do."""

import ipaddress
import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from certs.ca_directory import CaDirectory
from certs.rollover import Waiting
from gateway import doctor
from gateway.__main__ import app
from gateway.backup import State
from gateway.certificate_authority import CertificateAuthority
from gateway.settings import GatewaySettings
from gateway.store import Connection, Credentials
from runtime.exits import DENIED, OK, run_command

NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path):
    def make(**values):
        return GatewaySettings(**{"state_dir": tmp_path, "tunnel_listen": "127.0.0.1:0", **values})

    return make


def direct(url):
    return Connection("cloud", "direct", Credentials.CALLER, base_url=url)


def test_a_fresh_state_directory_has_no_ca_yet(settings):
    assert doctor.check_authority(settings(), NOW).result == "skip"


def test_a_ca_with_a_good_certificate_passes_and_one_that_has_ended_fails(settings, tmp_path):
    authority = CertificateAuthority(tmp_path)
    authority.create_if_absent(NOW)
    authority.renew_server(["gateway.example"], NOW)
    passed = doctor.check_authority(settings(), NOW)
    assert (passed.result, "gateway.example" in passed.detail) == ("pass", True)
    late = doctor.check_authority(settings(), NOW + timedelta(days=400))
    assert (late.result, late.action != "") == ("fail", True)


def test_it_says_where_a_change_of_cas_stands(settings, tmp_path):
    authority = CertificateAuthority(tmp_path)
    assert doctor.check_rollover(settings(), NOW).result == "skip"
    authority.create_if_absent(NOW)
    authority.renew_server(["gateway.example"], NOW)
    assert doctor.check_rollover(settings(), NOW).result == "skip"
    CaDirectory(tmp_path / "ca").rotate(NOW)
    authority.report((Waiting("hq/i1", NOW + timedelta(days=2)),))
    waiting = doctor.check_rollover(settings(), NOW)
    assert waiting.result == "pass"
    assert "is still by the older CA" in waiting.detail
    assert "hq/i1 (until" in waiting.detail

    authority.renew_server(["gateway.example"], NOW, may_move=True)
    authority.report(())
    ended = doctor.check_rollover(settings(), NOW)
    assert "follows the new CA; nobody needs" in ended.detail
    assert "jira-certs revoke" in ended.action


def test_a_ca_file_that_holds_no_certificate_fails(settings, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    assert doctor.check_trust(settings()).result == "skip"
    failed = doctor.check_trust(settings(ca_file=tmp_path / "ca.pem"))
    assert (failed.result, "JIRA_GATEWAY_CA_FILE" in failed.detail) == ("fail", True)


def test_an_egress_address_must_be_one_of_this_machine(settings):
    assert doctor.check_bind(settings()).result == "skip"
    assert doctor.check_bind(settings(egress_ip="127.0.0.1")).result == "pass"
    failed = doctor.check_bind(settings(egress_ip="203.0.113.9"))
    assert (failed.result, "203.0.113.9" in failed.detail) == ("fail", True)


async def test_a_direct_connection_must_have_an_address_that_may_be_dialled(settings):
    private = direct("https://10.1.2.3/jira")
    assert (await doctor.check_direct(settings(), private)).result == "fail"
    allowed = settings(allow_networks=(ipaddress.ip_network("10.0.0.0/8"),))
    assert (await doctor.check_direct(allowed, private)).result == "pass"
    assert (await doctor.check_direct(settings(), direct("https://8.8.8.8"))).result == "pass"


async def test_a_silent_name_server_is_not_waited_for(settings, monkeypatch):
    monkeypatch.setattr(doctor, "RESOLVE_SECONDS", 0.0)
    failed = await doctor.check_direct(settings(), direct("https://127.0.0.1"))
    assert (failed.result, "no answer in time" in failed.detail) == ("fail", True)


async def test_without_a_running_gateway_its_listeners_are_not_looked_for(settings, tmp_path):
    [check] = await doctor.check_listeners(settings(), State(tmp_path, tmp_path / "gateway.db"))
    assert check.result == "skip"


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    for name in [name for name in os.environ if name.startswith("JIRA_GATEWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JIRA_GATEWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("JIRA_GATEWAY_TUNNEL_URL", "wss://gateway.example.com:8443")

    def run(*words):
        code = run_command(app, "jira-gateway", words)
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_the_command_ends_with_1_when_a_check_fails(command, monkeypatch):
    code, out, _ = command("doctor", "--json")
    assert (code, json.loads(out)["ok"]) == (OK, True)
    monkeypatch.setenv("JIRA_GATEWAY_EGRESS_IP", "203.0.113.9")
    code, out, err = command("doctor")
    assert code == DENIED
    assert "egress-bind" in out
    assert err == "jira-gateway: 1 of 13 checks failed: egress-bind\n"


def test_a_private_address_is_warned_of_when_a_direct_connection_is_added(command, monkeypatch):
    words = ["connections", "add", "near", "--via", "direct", "--credentials", "caller"]
    code, _, err = command(*words, "--base-url", "http://10.1.2.3")
    assert code == OK
    assert "Warning: 10.1.2.3: its address is not public (private, 10.0.0.0/8)" in err
    monkeypatch.setenv("JIRA_GATEWAY_ALLOW_NETWORKS", "10.0.0.0/8")
    code, _, err = command("connections", "update", "near", "--base-url", "http://10.1.2.4")
    assert (code, "Warning" in err) == (OK, False)
