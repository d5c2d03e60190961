"""The commands on a stopped gateway: what they print where, what they refuse, and with which status."""

import os
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from certs.certificates import fingerprint, read_certificates
from certs.enrollment import parse_code
from gateway.__main__ import app
from runtime.exits import CONFIGURATION, DENIED, OK, UNAVAILABLE, USAGE, run_command
from tests.support.shell import Shell


@pytest.fixture
def state(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("JIRA_GATEWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JIRA_GATEWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("JIRA_GATEWAY_TUNNEL_URL", "wss://gateway.example.com:8443")
    return tmp_path / "state"


@pytest.fixture
def gateway(state, capfd):
    return Shell(capfd)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A state directory with an agent and a connection, made once and copied for each test."""
    made = tmp_path_factory.mktemp("template") / "state"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JIRA_GATEWAY_STATE_DIR", str(made))
        environment.setenv("JIRA_GATEWAY_TUNNEL_URL", "wss://gateway.example.com:8443")
        assert run_command(app, "jira-gateway", ["agents", "invite", "hq"]) == OK
        words = ["connections", "add", "main", "--via", "hq", "--credentials", "agent"]
        assert run_command(app, "jira-gateway", words) == OK
    return made


@pytest.fixture
def seeded(gateway, state, template):
    shutil.copytree(template, state)
    return gateway


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("hunter2 is secret\n")
    return path


def test_an_invite_is_one_line_with_address_and_ca(gateway, state):
    out = gateway("agents", "invite", "hq")
    code = parse_code(out)

    assert re.fullmatch(r"jte_[A-Za-z0-9_-]+\n", out)
    assert code.address == "wss://gateway.example.com:8443"
    assert code.ca_fingerprint == fingerprint(read_certificates((state / "ca" / "ca.pem").read_bytes())[0])
    assert "within 1 hour" in gateway.err
    assert "jte_" not in gateway.err


def test_an_invite_as_json(gateway):
    made = gateway.json("agents", "invite", "hq", "--ttl", "30m")

    assert sorted(made) == ["code", "expires_at", "name"]
    assert made["name"] == "hq"
    assert made["code"].startswith("jte_")


@pytest.mark.parametrize("name", ["HQ", "-hq", "", "a" * 64, "h q", "hq\n", "ümlaut", "direct"])
def test_a_bad_agent_name_is_a_usage_error(gateway, name):
    assert gateway("agents", "invite", "--", name, status=USAGE) == ""
    assert gateway.err.count("Error:") == 1


@pytest.mark.parametrize("ttl", ["25h", "0m", "1", "soon", "-1h"])
def test_a_bad_ttl_is_a_usage_error(gateway, ttl):
    gateway("agents", "invite", "hq", f"--ttl={ttl}", status=USAGE)


def test_an_invite_needs_the_address_that_agents_dial(gateway, monkeypatch):
    monkeypatch.delenv("JIRA_GATEWAY_TUNNEL_URL")
    gateway("agents", "invite", "hq", status=CONFIGURATION)

    assert gateway.err.startswith("jira-gateway: JIRA_GATEWAY_TUNNEL_URL: ")
    assert gateway.err.count("\n") == 1


def test_agents_are_listed_and_shown(seeded):
    listed = seeded.json("agents", "list")
    shown = seeded.json("agents", "show", "hq")

    assert [(row["name"], row["state"], row["instances"], row["links"]) for row in listed] == [
        ("hq", "invited", 0, None)
    ]
    assert shown["connections"] == ["main"]
    assert len(shown["open_codes"]) == 1
    assert "NAME" in seeded("agents", "list")
    assert "hq" in seeded("agents", "show", "hq")


def test_revoking_an_agent_cancels_its_codes(seeded):
    seeded("agents", "revoke", "hq")
    shown = seeded.json("agents", "show", "hq")

    assert shown["state"] == "revoked"
    assert shown["open_codes"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("agents", "show", "nobody"),
        ("agents", "revoke", "nobody"),
        ("agents", "revoke", "hq", "--instance", "none"),
        ("connections", "show", "nothing"),
        ("connections", "update", "nothing", "--timeout", "5"),
        ("connections", "remove", "nothing"),
        ("connections", "test", "nothing"),
        ("tokens", "revoke", "nothing"),
        ("tokens", "rotate", "nothing"),
        ("tokens", "create", "ci", "--connection", "nothing"),
        ("connections", "add", "other", "--via", "nobody", "--credentials", "agent"),
        ("connections", "add", "main", "--via", "hq", "--credentials", "agent"),
    ],
)
def test_what_does_not_exist_or_exists_already_is_one_line_and_status_1(seeded, words):
    assert seeded(*words, status=DENIED) == ""
    assert seeded.err.startswith("jira-gateway: ")
    assert seeded.err.count("\n") == 1


def test_a_connection_with_a_sealed_password(seeded, state, secret_file):
    row = seeded.json(
        *("connections", "add", "sealed", "--via", "hq", "--credentials", "gateway"),
        *("--username", "bot", "--secret-file", str(secret_file), "--timeout", "2.5", "--no-rewrite-links"),
    )

    assert row["username"] == "bot"
    assert (row["has_secret"], row["timeout_seconds"], row["rewrite_links"]) == (True, 2.5, False)
    everything = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"hunter2" not in everything
    assert "hunter2" not in seeded("audit", "list") + seeded("connections", "show", "sealed")


def test_a_direct_connection(gateway):
    row = gateway.json(
        *("connections", "add", "cloud", "--via", "direct", "--base-url", "https://x.atlassian.net/"),
        *("--credentials", "caller"),
    )

    assert (row["via"], row["base_url"]) == ("direct", "https://x.atlassian.net")


@pytest.mark.parametrize(
    "flags",
    [
        "--via hq",
        "--credentials agent",
        "--via hq --credentials nobody",
        "--via direct --credentials caller",
        "--via direct --base-url https://j --credentials agent",
        "--via hq --base-url https://j --credentials agent",
        "--via hq --credentials gateway",
        "--via hq --credentials gateway --username bot",
        "--via hq --credentials agent --username bot",
        "--via hq --credentials caller --secret-file {secret}",
        "--via hq --credentials gateway --username a:b --secret-file {secret}",
        "--via hq --credentials gateway --secret-file /does/not/exist",
        "--via hq --credentials agent --ca-file {secret}",
        "--via direct --base-url https://j --credentials caller --ca-file {secret}",
        "--via hq --credentials agent --timeout 0",
        "--via hq --credentials agent --timeout nan",
        "--via hq --credentials agent --timeout 4000",
        "--via hq --credentials agent --timeout soon",
        "--via HQ --credentials agent",
    ],
)
def test_flags_that_contradict_are_a_usage_error_and_nothing_is_stored(seeded, flags, secret_file):
    words = flags.format(secret=secret_file).split()
    assert seeded("connections", "add", "other", *words, status=USAGE) == ""
    assert "hunter2" not in seeded.err
    assert [row["name"] for row in seeded.json("connections", "list")] == ["main"]


@pytest.mark.parametrize(
    "url",
    [
        "jira.example.com",
        "ftp://j",
        "https://",
        "https://u:p@j",
        "https://j?x=1",
        "https://j#f",
        "https://j/a//b",
        "https://j/../b",
        "https://j:0",
        "https://j:x",
        "https://j /x",
        "https://jürgen.de",
        "https://j/a;b",
        "https://j/%2e%2e/b",
        "https://j/a\\b",
        'https://j/"',
        'https://j"',
        "https://[::1%25lo]",
    ],
)
def test_a_bad_base_url_is_a_usage_error(gateway, url):
    gateway("connections", "add", "x", "--via", "direct", "--base-url", url, "--credentials", "caller", status=USAGE)


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n", "bell\x07", "x" * 70000])
def test_a_secret_file_holds_one_printable_line(seeded, tmp_path, content):
    (tmp_path / "f").write_text(content)
    words = ("--via", "hq", "--credentials", "gateway", "--secret-file", str(tmp_path / "f"))
    seeded("connections", "add", "x", *words, status=USAGE)


def test_an_update_changes_only_what_is_given(seeded, secret_file):
    words = ("--credentials", "gateway", "--username", "bot", "--secret-file", str(secret_file))
    seeded("connections", "update", "main", *words)
    row = seeded.json("connections", "update", "main", "--timeout", "5")

    assert (row["timeout_seconds"], row["username"], row["has_secret"]) == (5.0, "bot", True)


def test_other_credentials_drop_the_old_secret(seeded, secret_file):
    seeded("connections", "update", "main", "--credentials", "gateway", "--secret-file", str(secret_file))
    row = seeded.json("connections", "update", "main", "--credentials", "caller")

    assert row["has_secret"] is False


def test_an_update_without_flags_is_a_usage_error(seeded):
    seeded("connections", "update", "main", status=USAGE)


def test_a_connection_that_tokens_name_is_removed_only_by_force(seeded):
    seeded("tokens", "create", "ci", "--connection", "main")
    seeded("connections", "remove", "main", status=DENIED)
    assert "ci" in seeded.err

    seeded("connections", "remove", "main", "--force")
    assert seeded.json("connections", "list") == []


def test_a_token_is_printed_once_alone_on_its_line(seeded, state):
    out = seeded("tokens", "create", "ci", "--connection", "main")

    assert re.fullmatch(r"jtg_[A-Za-z0-9_-]{43}\n", out)
    assert "jtg_" not in seeded.err
    listed = seeded("tokens", "list", "--json")
    assert out.strip() not in listed
    everything = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert out.strip().encode() not in everything


def test_a_token_with_every_limit(seeded):
    words = ("--read-only", "--scope", "call", "--scope", "events", "--expires", "30d", "--rate", "10/s")
    made = seeded.json("tokens", "create", "ci", "--connection", "main", *words)
    row = seeded.json("tokens", "list")[0]

    assert set(made) == {"name", "token"}
    assert (made["name"], made["token"][:4]) == ("ci", "jtg_")
    assert row["connections"] == ["main"]
    assert (row["read_only"], row["scopes"], row["rate"], row["state"]) == (True, ["call", "events"], "10/s", "active")
    assert datetime.fromisoformat(row["expires_at"]) - datetime.fromisoformat(row["created_at"]) == timedelta(days=30)
    assert not {"secret_hash", "previous_hash"} & set(row)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--connection main --scope root",
        "--connection main --rate fast",
        "--connection main --rate 0/s",
        "--connection main --expires soon",
        "--connection main --expires 4000d",
        "--connection Main",
    ],
)
def test_bad_token_flags_are_a_usage_error(seeded, flags):
    assert seeded("tokens", "create", "ci", *flags.split(), status=USAGE) == ""
    assert seeded.json("tokens", "list") == []


def test_a_token_for_management_needs_no_connection(gateway):
    assert gateway("tokens", "create", "ops", "--scope", "admin", "--expires", "never").startswith("jtg_")
    assert gateway.json("tokens", "list")[0]["expires_at"] is None


def test_rotation_gives_a_new_secret_and_keeps_never(seeded):
    old = seeded("tokens", "create", "ci", "--connection", "main", "--expires", "never")
    new = seeded("tokens", "rotate", "ci", "--overlap", "1h")

    assert new.startswith("jtg_")
    assert new != old
    assert seeded.json("tokens", "list")[0]["expires_at"] is None


def test_a_revoked_token_is_listed_as_revoked(seeded):
    seeded("tokens", "create", "ci", "--connection", "main")
    seeded("tokens", "revoke", "ci")

    assert seeded.json("tokens", "list")[0]["state"] == "revoked"
    seeded("tokens", "revoke", "ci", status=DENIED)


def test_the_audit_trail_is_listed_and_verified(seeded):
    records = seeded.json("audit", "list")
    head = seeded("audit", "verify").strip()

    assert [record["action"] for record in records] == ["agent.invite", "connection.add"]
    assert all(record["actor"].startswith("cli:") for record in records)
    assert seeded.json("audit", "verify", "--head", head) == {"ok": True, "count": 2, "head": head}
    assert [record["seq"] for record in seeded.json("audit", "list", "--last", "1")] == [2]


def test_an_edited_audit_trail_fails_the_check(seeded, state):
    with sqlite3.connect(state / "gateway.db") as raw:
        raw.execute("UPDATE audit SET subject = 'other' WHERE seq = 1")
    raw.close()
    seeded("audit", "verify", status=DENIED)

    assert "broken at record 1" in seeded.err


def test_a_cut_audit_trail_fails_the_check_against_a_kept_head(seeded, state):
    head = seeded("audit", "verify").strip()
    with sqlite3.connect(state / "gateway.db") as raw:
        raw.execute("DELETE FROM audit WHERE seq = 2")
    raw.close()
    seeded("audit", "verify")
    seeded("audit", "verify", "--head", head, status=DENIED)

    assert "broken at record 2" in seeded.err


def test_a_head_that_is_none_is_a_usage_error(gateway):
    gateway("audit", "verify", "--head", "nonsense", status=USAGE)


def test_backup_and_restore(seeded, state, tmp_path):
    file = tmp_path / "backup.tar"
    seeded("backup", str(file))
    seeded("agents", "invite", "later")
    seeded("restore", str(file), status=DENIED)
    restored = seeded.json("restore", "--force", str(file))

    assert file.stat().st_mode & 0o777 == 0o600
    assert [row["name"] for row in seeded.json("agents", "list")] == ["hq"]
    assert [row["action"] for row in seeded.json("audit", "list")][-2:] == ["backup.create", "backup.restore"]
    assert restored["replaced"].startswith(str(state))
    with closing(sqlite3.connect(state / "gateway.db")) as database:
        numbers = dict(database.execute("SELECT name, seq FROM sqlite_sequence"))
    assert numbers["deliveries"] >= 10**12  # no reader's cursor lies before what is new
    seeded("audit", "verify")


def test_a_backup_overwrites_only_by_force(seeded, tmp_path):
    file = tmp_path / "backup.tar"
    file.write_text("precious")
    seeded("backup", str(file), status=USAGE)
    assert file.read_text() == "precious"

    assert seeded.json("backup", "--force", str(file))["format"] == 1


def test_a_backup_that_fails_leaves_no_file(seeded, tmp_path, monkeypatch):
    monkeypatch.setenv("JIRA_GATEWAY_SECRET_KEY", "another key, 32 characters or more")
    seeded("backup", str(tmp_path / "backup.tar"), status=CONFIGURATION)

    assert not (tmp_path / "backup.tar").exists()


def test_a_damaged_backup_is_refused_and_the_state_stays(seeded, tmp_path):
    (tmp_path / "backup.tar").write_bytes(b"nonsense")
    seeded("restore", "--force", str(tmp_path / "backup.tar"), status=DENIED)

    assert [row["name"] for row in seeded.json("agents", "list")] == ["hq"]


def test_a_backup_does_not_come_back_under_another_configured_key(seeded, tmp_path, monkeypatch):
    seeded("backup", str(tmp_path / "backup.tar"))
    monkeypatch.setenv("JIRA_GATEWAY_SECRET_KEY", "another key, 32 characters or more")
    seeded("restore", "--force", str(tmp_path / "backup.tar"), status=CONFIGURATION)

    assert "JIRA_GATEWAY_SECRET_KEY" in seeded.err
    assert "another key" not in seeded.err


def test_the_wrong_secret_key_is_a_configuration_error(seeded, monkeypatch):
    monkeypatch.setenv("JIRA_GATEWAY_SECRET_KEY", "another key, 32 characters or more")
    seeded("agents", "list", status=CONFIGURATION)
    monkeypatch.setenv("JIRA_GATEWAY_SECRET_KEY", "short")
    seeded("agents", "list", status=CONFIGURATION)

    assert "short" not in seeded.err.replace("shorter", "")


def test_an_exposed_secret_key_is_refused_with_the_fix(seeded, state):
    (state / "secret.key").chmod(0o644)
    seeded("agents", "list", status=CONFIGURATION)

    assert "chmod 600" in seeded.err


def test_a_misspelt_variable_is_a_configuration_error(gateway, monkeypatch):
    monkeypatch.setenv("JIRA_GATEWAY_STATE_DIRR", "x")
    gateway("agents", "list", status=CONFIGURATION)

    assert "did you mean JIRA_GATEWAY_STATE_DIR" in gateway.err


def test_a_test_of_a_connection_needs_the_running_gateway(seeded):
    seeded("connections", "test", "main", status=UNAVAILABLE)


def test_the_settings_can_come_from_a_file(gateway, tmp_path, monkeypatch):
    monkeypatch.delenv("JIRA_GATEWAY_STATE_DIR")
    (tmp_path / "env").write_text(f"JIRA_GATEWAY_STATE_DIR={tmp_path / 'elsewhere'}\n")
    gateway("agents", "invite", "hq", "--env-file", str(tmp_path / "env"))

    assert (tmp_path / "elsewhere" / "gateway.db").exists()


def test_nothing_lists_as_nothing(gateway):
    for kind in ("agents", "connections", "tokens", "triggers"):
        assert gateway(kind, "list") == ""
        assert gateway.err.startswith("No ")
        assert gateway.json(kind, "list") == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("agents",),
        ("agents", "invite"),
        ("connections", "add"),
        ("tokens", "create"),
        ("triggers", "add"),
        ("restore",),
    ],
)
def test_help_teaches(gateway, words):
    out = gateway(*words, "--help")

    assert "Usage: jira-gateway" in out
    if words != ("agents",):
        assert "jira-gateway " in out.split("Usage:", 1)[1].split("\n", 1)[1]


def test_an_answer_is_explained_only_by_its_id(gateway):
    gateway("connections", "explain", "main", status=USAGE)
