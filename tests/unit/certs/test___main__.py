"""The command line of jira-certs: what is printed where, and the exit status of every mistake."""

import json
import stat
import sys
from types import SimpleNamespace

import pytest

from certs import __main__ as commands
from certs.certificates import read_certificates
from certs.csr import make_csr
from certs.keys import make_key, read_key


@pytest.fixture
def jira_certs(monkeypatch, capsys):
    """Run a command in this process; tests/e2e/test_jira_certs.py runs real ones."""

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["jira-certs", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            commands.main()
        done = SimpleNamespace(**dict(zip(("stdout", "stderr"), capsys.readouterr(), strict=True)))
        assert (left.value.code or 0) == status, done
        assert "PRIVATE KEY" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def as_json(jira_certs):
    return lambda *arguments: json.loads(jira_certs(*arguments, "--json").stdout)


@pytest.fixture
def ca(tmp_path, as_json):
    as_json("init", tmp_path / "ca")
    return tmp_path / "ca"


@pytest.fixture
def csr(tmp_path):
    path = tmp_path / "request.csr"
    path.write_bytes(make_csr(make_key()))
    return path


def test_a_key_made_here_is_private_and_comes_with_a_warning(jira_certs, ca):
    done = jira_certs("issue", "agent", ca, "hq/a1")
    path = ca / "agent-hq-a1.pem"
    assert done.stderr.startswith("warning: the private key was made on this machine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read_key(path)


def test_a_key_made_elsewhere_needs_no_warning(jira_certs, ca, csr):
    assert jira_certs("issue", "agent", ca, "hq", "--csr", csr).stderr == ""


def test_revoking_by_name_instance_and_serial(jira_certs, as_json, ca):
    as_json("revoke", ca, "--agent", "hq")
    as_json("revoke", ca, "--agent", "branch/b1")
    done = as_json("revoke", ca, "--serial", "0A:BC")
    assert done["revoked"] == {"serials": ["abc"], "agents": ["hq"], "instances": ["branch/b1"]}
    assert "is revoked" in jira_certs("issue", "agent", ca, "hq", status=1).stderr


def test_a_ca_is_rotated_with_an_overlap(jira_certs, as_json, ca):
    old = as_json("show", ca)["certificates"][0]["fingerprint"]
    new = as_json("renew", ca, "--ca")["fingerprint"]
    assert [each["fingerprint"] for each in as_json("show", ca)["certificates"]] == [new, old]
    jira_certs("revoke", ca, "--ca", new, status=1)
    assert "still needed: agents may have certificates by it" in jira_certs("revoke", ca, "--ca", old, status=1).stderr
    assert as_json("show", ca)["rollover"]["signs"] == new
    assert "needed_by    agents may have" in jira_certs("show", ca).stdout
    ended = as_json("revoke", ca, "--ca", old, "--force")
    assert [each["fingerprint"] for each in ended["certificates"]] == [new]
    assert "rollover" not in ended
    assert len(read_certificates((ca / "ca.pem").read_bytes())) == 1


def test_people_get_lines_instead_of_json(jira_certs, ca):
    text = jira_certs("show", ca).stdout
    assert "kind         ca\n" in text
    assert "\nrevoked\nserials      -\n" in text


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["init", "CA"], 1, "exists already"),
        (["issue", "agent", "CA", "Head_Quarters"], 2, "is not a usable name"),
        (["issue", "agent", "CA", "hq/"], 2, "is not a usable name"),
        (["issue", "agent", "CA", "hq/a/b"], 2, "is not a usable name"),
        (["issue", "server", "CA", "*.example.com"], 2, "is not a usable name"),
        (["issue", "server", "CA"], 2, "HOST"),
        (["issue", "agent", "CA", "hq", "--lifetime", "90d"], 1, "choose between 1h and 30d"),
        (["issue", "agent", "CA", "hq", "--lifetime", "soon"], 2, "write it as 7d"),
        (["issue", "agent", "CA", "hq", "--csr", "missing.csr"], 1, "missing.csr"),
        (["issue", "agent", "CA", "hq", "--csr", "CA/ca.pem"], 1, "is not one PKCS #10 request"),
        (["issue", "agent", "elsewhere", "hq"], 1, "elsewhere"),
        (["renew", "CA"], 2, "give either"),
        (["renew", "CA", "CA/ca.pem", "--ca"], 2, "give either"),
        (["renew", "CA", "CA/missing.pem"], 1, "missing.pem"),
        (["revoke", "CA"], 2, "exactly one"),
        (["revoke", "CA", "--agent", "hq", "--serial", "1"], 2, "exactly one"),
        (["revoke", "CA", "--serial", "xyz"], 2, "hexadecimal"),
        (["show", "elsewhere"], 1, "elsewhere"),
        (["show", "CA/ca.key"], 1, "not a certificate"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_mistakes_get_one_clear_line_and_their_exit_status(jira_certs, ca, arguments, status, says):
    done = jira_certs(
        *(each.replace("CA", str(ca)) if each.startswith("CA") else each for each in arguments), status=status
    )
    assert done.stdout == ""
    assert says in done.stderr
    assert status == 2 or done.stderr.count("\n") == 1


def test_help_of_each_command_shows_how(jira_certs, ca):
    assert "openssl req -new" in jira_certs("issue", "--help").stdout
    assert "ca.pem holds both" in jira_certs("renew", "--help").stdout
