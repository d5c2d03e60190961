"""jira-certs as operators run it: real processes, exit statuses, and what is printed where."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from certs.csr import make_csr
from certs.keys import make_key


def jira_certs(*arguments, status=0):
    command = [sys.executable, "-m", "certs", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    return done


def as_json(*arguments):
    return json.loads(jira_certs(*arguments, "--json").stdout)


@pytest.fixture
def ca(tmp_path):
    as_json("init", tmp_path / "ca")
    return tmp_path / "ca"


@pytest.fixture
def csr(tmp_path):
    path = tmp_path / "request.csr"
    path.write_bytes(make_csr(make_key()))
    return path


def test_a_whole_pki_by_hand(ca, csr, tmp_path):
    server = as_json(
        "issue", "server", ca, "gateway.example.com", "10.0.0.1", "--csr", csr, "--out", tmp_path / "g.pem"
    )
    assert (server["kind"], server["hosts"]) == ("server", ["gateway.example.com", "10.0.0.1"])
    agent = as_json("issue", "agent", ca, "headquarters/a1", "--lifetime", "12h")
    assert (agent["kind"], agent["agent"], agent["instance"]) == ("agent", "headquarters", "a1")
    renewed = as_json("renew", ca, agent["file"])
    assert (renewed["agent"], renewed["instance"]) == ("headquarters", "a1")
    assert renewed["serial"] != agent["serial"]
    shown = as_json("show", agent["file"])
    assert [each["serial"] for each in shown["certificates"]] == [renewed["serial"]]
    revoked = as_json("revoke", ca, agent["file"])["revoked"]
    assert revoked == {"serials": [renewed["serial"]], "agents": [], "instances": []}
    assert as_json("show", ca)["revoked"] == revoked
    assert "is revoked" in jira_certs("renew", ca, agent["file"], status=1).stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
def test_openssl_agrees_with_what_was_issued(ca, tmp_path):
    key, request, out = (tmp_path / name for name in ("agent.key", "agent.csr", "agent.pem"))
    openssl = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]
    subprocess.run(openssl, check=True, capture_output=True)
    openssl = ["openssl", "req", "-new", "-key", key, "-subj", "/CN=agent", "-out", request]
    subprocess.run(openssl, check=True, capture_output=True)
    jira_certs("issue", "agent", ca, "hq", "--csr", request, "--out", out)
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca / "ca.pem", out]
    assert subprocess.run(verify, capture_output=True, text=True, check=True).stdout.strip() == f"{out}: OK"


def test_an_exposed_ca_key_refuses_to_sign_and_names_the_fix(ca):
    (ca / "ca.key").chmod(0o644)
    done = jira_certs("issue", "agent", ca, "hq", status=1)
    assert f"run 'chmod 600 {ca / 'ca.key'}'" in done.stderr


def test_help_teaches_and_does_not_wait_for_cryptography():
    done = jira_certs("--help")
    assert "jira-certs issue server /srv/jira-ca gateway.example.com" in done.stdout
    for command in ("init", "issue", "renew", "revoke", "show"):
        assert f"\n  {command} " in done.stdout
    program = "import sys, certs.__main__; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=20).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_run_as_root_the_files_belong_to_the_owner_of_the_directory(tmp_path):
    tmp_path.chmod(0o711)
    home = tmp_path / "service"
    home.mkdir()
    os.chown(home, 12345, 12345)
    jira_certs("init", home / "ca")
    jira_certs("issue", "agent", home / "ca", "hq")
    jira_certs("revoke", home / "ca", "--agent", "hq")
    assert {path.stat().st_uid for path in (home / "ca", *(home / "ca").iterdir())} == {12345}
