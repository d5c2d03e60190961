"""`jira-agent support-bundle`: what is inside, with and without settings, and that no secret is."""

import json
import tarfile

import pytest

from agent.__main__ import app
from agent.audit_log import AuditLog
from agent.switch import Switch
from agent.switch_state import Mode
from certs.files import write_private
from runtime.exits import run_command
from tests.support.evidence import Evidence
from tests.support.ports import free_port
from tunnel.heads import RequestHead

SECRETS = {
    "password": 'pa55 "word" of jira',
    "proxy password": "pr0xy/secret",
    "code": "jte_eW91LXNob3VsZC1ub3Qtc2VlLXRoaXM",
    "key": "MHcCAQEEIBmYprivatekeyprivatekey",
    "token in a reason": "jtg_eW91LXNob3VsZC1ub3Qtc2VlLXRoaXM",
    "query": "query-secret-hunter2",
}


@pytest.fixture
def environment(tmp_path, monkeypatch):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (tmp_path / "password").write_text(SECRETS["password"])
    for name, value in {
        "STATE_DIR": str(state),
        "JIRA_URL": "https://jira.corp.local:8443/jira",
        "JIRA_USERNAME": "svc.bridge",
        "JIRA_PASSWORD_FILE": str(tmp_path / "password"),
        "PROXY_URL": "http://user:pr0xy%2Fsecret@127.0.0.1:1",
        "ENROLL_CODE": SECRETS["code"],
        "ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
    }.items():
        monkeypatch.setenv(f"JIRA_AGENT_{name}", value)
    monkeypatch.chdir(tmp_path)
    return state


def unpacked(path):
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        texts = {member.name.partition("/")[2]: archive.extractfile(member).read().decode() for member in members}
    return texts, members


async def fill(state):
    """Put secrets wherever an administrator or a gateway might have put them."""
    write_private(state / "agent.key", f"-----BEGIN PRIVATE KEY-----\n{SECRETS['key']}\n".encode())
    await Switch(state, lambda: 1).turn(Mode.PAUSED, {"reason": f"see {SECRETS['token in a reason']}"}, "root")
    audit = AuditLog(state / "audit", 1 << 20)
    audit.open()
    audit.request(RequestHead(b"GET", f"/rest/x?os_password={SECRETS['query']}".encode(), []), "r", "answered", 200)
    audit.note("switch", reason=f"see {SECRETS['token in a reason']} {SECRETS['password']}")
    audit.close()


async def test_nothing_in_it_is_a_secret(environment, tmp_path, capfd):
    await fill(environment)
    capfd.readouterr()  # what the running agent logs is another matter
    target = tmp_path / "bundle.tar.gz"
    assert await in_thread(["support-bundle", str(target), "--with-audit"]) == 0
    printed = capfd.readouterr()
    texts, members = unpacked(target)

    evidence = Evidence()
    for name, text in texts.items():
        evidence.add(name, text)
    evidence.add("printed", printed.out + printed.err)
    assert evidence.leaks(SECRETS) == []
    assert {member.mode for member in members} == {0o600}
    assert target.stat().st_mode & 0o777 == 0o600
    assert {"README.txt", "versions.txt", "settings.txt", "doctor.txt", "policy.json", "log.txt"} <= texts.keys()
    assert "JIRA_AGENT_JIRA_PASSWORD=***" in texts["settings.txt"]
    assert "JIRA_AGENT_JIRA_URL=https://jira.corp.local:8443/jira" in texts["settings.txt"]
    assert "no agent runs" in texts["status.json"]
    assert "could not be gathered" in texts["metrics.txt"]
    assert json.loads(texts["policy.json"])["rules"]
    assert texts["audit-verify.txt"].startswith("ok 1 to 5")
    assert any(row["kind"] == "request" for row in json.loads(texts["audit.json"]))
    assert "agent.key" in texts["state-directory.txt"]


async def test_it_works_without_settings_and_never_overwrites(environment, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("JIRA_AGENT_NO_SUCH_THING", "1")
    target = tmp_path / "bundle.tar.gz"
    assert await in_thread(["support-bundle", str(target), "--no-doctor"]) == 0
    texts, _ = unpacked(target)
    assert "JIRA_AGENT_NO_SUCH_THING" in texts["settings.txt"]
    assert "audit.json" not in texts
    before = target.read_bytes()
    assert await in_thread(["support-bundle", str(target)]) == 1
    assert "name a new file" in capfd.readouterr().err
    assert target.read_bytes() == before


async def in_thread(words):
    """Run the command where it has no running loop, as in a process of its own."""
    import asyncio

    return await asyncio.to_thread(run_command, app, "jira-agent", words)
