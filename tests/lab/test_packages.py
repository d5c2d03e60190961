"""The packages on a Debian that is booted for real, without a network: install, enroll, first request, upgrade, remove, purge.

What the test does is what docs/operations.md says, in that order. Building the packages needs pip's index or its cache.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from shipping.release import read_release

from tests.e2e.conftest import SERVICE
from tests.lab.machine import machine, root_file_system
from tests.lab.namespaces import LabUnavailable, inside, one_host
from tests.support.fake_jira import JiraProcess
from tests.support.stack import PROJECT, wait_until

RELEASES = {"bookworm": "12", "trixie": "13"}
OLD = "0.0.9"
SETTINGS = "/etc/jira-agent/agent.env"
CERTIFICATE_FILES = "find /var/lib/jira-agent -name '*.pem' | sort | xargs sha256sum"
# What the system itself writes while packages come and go.
NOT_OURS = re.compile(
    r"^/(?:var/(?:log|cache|lib/dpkg|lib/systemd|tmp)|etc/(?:passwd|group|g?shadow|sub[ug]id)-?$|etc/\.pwd\.lock|run|tmp)"
)

pytestmark = pytest.mark.timeout(900)


def build(folder, kind, *words):
    command = [sys.executable, "-m", "shipping", kind, "--into", str(folder), *words]
    environment = {**os.environ, "PYTHONPATH": "packaging"}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module", params=RELEASES)
def release(request):
    """A release of Debian that can be booted here."""
    try:
        root_file_system(request.param)
    except LabUnavailable as reason:
        pytest.skip(str(reason))
    return request.param


@pytest.fixture(scope="module")
def packages(release, tmp_path_factory):
    """A folder with the release's packages of both programs, and an older one of the agent."""
    folder = tmp_path_factory.mktemp(release)
    build(folder, "deb", "--compression", "none", "--debian", RELEASES[release])
    build(
        folder, "deb", "--compression", "none", "--debian", RELEASES[release], "--only", "jira-agent", "--version", OLD
    )
    return folder


@contextmanager
def debian(release, packages, **arguments):
    """A machine in a namespace with nothing but a loopback, which a Jira outside of it shares."""
    try:
        with one_host() as namespace:
            binds = [(packages, "/packages")]
            with machine(release, namespace=namespace, binds=binds, **arguments) as booted, inside(namespace):
                yield booted
    except LabUnavailable as reason:
        pytest.skip(str(reason))


def files(booted):
    listed = booted.must("find / -xdev -not -type s | sort").splitlines()
    return {path for path in listed if not NOT_OURS.match(path)}


def package(name, release, version=None):
    version = version or read_release().version
    return f"/packages/{name}_{version}-1~deb{RELEASES[release]}_*.deb"


def ask(url, token):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


def seconds_of(booted, command, times=5):
    """The least processor time that a command takes: other than the time on the wall, it is the machine's own doing."""
    timed = (
        f"import resource,subprocess;subprocess.run({command!r},check=True,stdout=-3);"
        "used=resource.getrusage(resource.RUSAGE_CHILDREN);print(used.ru_utime+used.ru_stime)"
    )
    return min(float(booted.must(["python3", "-c", timed])) for _ in range(times))


def test_a_package_is_installed_enrolled_upgraded_and_purged(release, packages, tmp_path, record_property):
    with debian(release, packages) as booted, JiraProcess(context="/jira") as jira:
        before = files(booted)
        installed_in = install(booted, release)
        waits_quietly(booted)
        assert private_settings(booted)
        token = first_request(booted, jira)
        completes(booted)
        manual_renders(booted, tmp_path)
        quickest = seconds_of(booted, ["jira-agent", "version"])
        sys.stdout.write(
            f"\n{release}: installed in {installed_in:.1f} s, jira-agent version {quickest * 1000:.0f} ms of a processor\n"
        )
        record_property("version_ms", round(quickest * 1000))
        assert quickest < 0.6  # 0.2 and a wide margin
        upgrade(booted, release, token)
        remove_and_purge(booted, before)


def install(booted, release):
    begun = time.monotonic()
    # Without an index: dpkg alone.
    booted.must(f"dpkg -i {package('jira-gateway', release)} {package('jira-agent', release, OLD)}", seconds=300)
    taken = time.monotonic() - begun
    for program in ("jira-agent", "jira-gateway"):
        assert booted.must(f"systemctl is-enabled {program}") == "enabled\n"
        wrong = booted.must(f"dpkg --verify {program}").splitlines()
        assert not [line for line in wrong if "/usr/share/doc/" not in line]  # which this Debian leaves out
    assert booted.must("jira-agent version") == f"jira-agent {OLD}\n"
    booted.wait("systemctl is-active jira-agent", "jira-agent is active")
    assert booted.run("systemctl is-active jira-gateway").stdout == "inactive\n", "it cannot run without its address"
    booted.must("echo JIRA_GATEWAY_TUNNEL_URL=wss://127.0.0.1:8443 >> /etc/jira-gateway/gateway.env")
    booted.must("systemctl restart jira-gateway")
    return taken


def waits_quietly(booted):
    booted.wait("systemctl show jira-agent -p StatusText | grep -i 'waiting for enrolment'", "the agent waits")
    said = booted.journal("jira-agent")
    time.sleep(5)
    assert booted.journal("jira-agent") == said, "it talks while it waits"
    assert len(said.splitlines()) < 12, said
    assert booted.show("jira-agent", "NRestarts") == {"NRestarts": "0"}


def private_settings(booted):
    modes = booted.must(f"stat -c '%a %U %G' /etc/jira-agent {SETTINGS} /etc/jira-gateway/gateway.env").splitlines()
    return modes == ["750 root jira-agent", "640 root jira-agent", "640 root jira-gateway"]


def first_request(booted, jira):
    code = booted.must("jira-gateway agents invite headquarters")
    booted.must("jira-agent enroll -", stdin=code)
    secret = "/etc/jira-agent/password"
    booted.write(secret, SERVICE["JIRA_AGENT_JIRA_PASSWORD"], 0o640)
    booted.must(f"chgrp jira-agent {secret}")
    for name, value in {
        "URL": jira.url,
        "USERNAME": SERVICE["JIRA_AGENT_JIRA_USERNAME"],
        "PASSWORD_FILE": secret,
    }.items():
        booted.must(f"echo JIRA_AGENT_JIRA_{name}={value} >> {SETTINGS}")
    booted.must("systemctl restart jira-agent")
    booted.must("jira-gateway connections add hq --via headquarters --credentials agent")
    token = json.loads(booted.must("jira-gateway tokens create ci --connection hq --json"))["token"]
    answers(booted, token)
    return token


def answers(booted, token):
    url = "http://127.0.0.1:8080/jira/hq/rest/api/2/serverInfo"
    seen = []

    def is_answered():
        seen.append(ask(url, token))
        return seen[-1][0] == 200

    try:
        wait_until(is_answered, "an answer of Jira", 60)
    except TimeoutError:
        raise AssertionError(f"{seen[-1]} {booted.journal('jira-agent')[-2000:]}") from None
    assert json.loads(seen[-1][1])["versionNumbers"]


def completes(booted, prefix="/usr", zsh="vendor-completions"):
    script = (
        f"source {prefix}/share/bash-completion/completions/jira-agent; complete -p jira-agent; "
        "COMP_WORDS=(jira-agent enr); COMP_CWORD=1; _jira_agent; echo ${COMPREPLY[@]}"
    )
    known, offered = booted.must(["bash", "-c", script]).splitlines()
    assert known.endswith(" jira-agent")
    assert offered == "enroll"
    for path in (f"zsh/{zsh}/_jira-agent", "fish/vendor_completions.d/jira-agent.fish"):
        assert "enroll" in booted.must(f"cat {prefix}/share/{path}")


def manual_renders(booted, folder):
    for number, name in (("1", "jira-agent.1"), ("5", "jira-agent.env.5"), ("1", "jira-certs.1")):
        page = folder / f"{name}.gz"
        page.write_bytes(booted.outside(f"/usr/share/man/man{number}/{name}.gz").read_bytes())
        command = ["man", "--warnings", "-l", str(page)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "SEE ALSO" in done.stdout


def upgrade(booted, release, token):
    kept = booted.must(f"sha256sum {SETTINGS}") + booted.must(CERTIFICATE_FILES)
    assert kept.count("\n") > 1
    process = booted.show("jira-agent", "MainPID")
    booted.must(f"dpkg -i {package('jira-agent', release)}", seconds=300)
    assert booted.must("jira-agent version") != f"jira-agent {OLD}\n"
    assert booted.must(f"sha256sum {SETTINGS}") + booted.must(CERTIFICATE_FILES) == kept
    booted.wait("systemctl is-active jira-agent", "the agent is active after the upgrade")
    assert booted.show("jira-agent", "MainPID") != process
    assert "killed" not in booted.journal("jira-agent").lower()
    answers(booted, token)


def remove_and_purge(booted, before):
    booted.must("dpkg --remove jira-agent jira-gateway", seconds=120)
    assert booted.run("systemctl is-active jira-agent").stdout != "active\n"
    assert booted.run("pgrep -x 'jira-agent|jira-gateway'").stdout == ""
    assert booted.run("ls /opt/jira-agent /opt/jira-gateway").stdout == ""
    assert booted.must(f"grep -c JIRA_AGENT_JIRA_URL=http {SETTINGS}") == "1\n"
    assert booted.must(CERTIFICATE_FILES)
    booted.must("dpkg --purge jira-agent jira-gateway", seconds=120)
    assert files(booted) - before == set()
    assert before - files(booted) == set()
    assert booted.run("getent passwd jira-agent jira-gateway").stdout == ""
    assert booted.must("systemctl list-units --failed --no-legend 'jira*'") == ""


def test_it_is_installed_where_no_systemd_runs(release, packages, tmp_path):
    """Where images are made: the service is enabled for the first boot, and nothing is started or fails."""
    lower = root_file_system(release)
    script = (
        f"dpkg -i {package('jira-agent', release)} && systemctl is-enabled jira-agent && jira-agent version "
        "&& dpkg --purge jira-agent && ! test -e /etc/jira-agent && ! test -e /opt/jira-agent"
    )
    command = [
        "systemd-nspawn",
        "--quiet",
        "--volatile=overlay",
        "-D",
        str(lower),
        "--private-network",
        "--register=no",
    ]
    command += ["--keep-unit", f"--bind-ro={packages}:/packages", "--pipe", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "enabled\n" in done.stdout
