"""The offline bundle on booted Debians without a network: install, run again, uninstall, purge, and what it says when it cannot."""

import shutil
import subprocess
import tarfile

import pytest
from shipping.release import read_release

from tests.lab.machine import machine, root_file_system
from tests.lab.namespaces import LabUnavailable
from tests.lab.test_packages import OLD, RELEASES, build, completes, files, waits_quietly

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A folder with the agent's bundle of this release and of an older one, unpacked."""
    folder = tmp_path_factory.mktemp("bundles")
    for words in ((), ("--version", OLD)):
        (made,) = build(folder, "bundle", "--only", "jira-agent", *words)
        with tarfile.open(made) as archive:
            archive.extractall(folder, filter="tar")
    folder.chmod(0o755)
    return folder


def script(version, arguments="", before=""):
    return f"cd /bundles/jira-agent-{version}-linux-*/ && {before} ./install.sh {arguments}"


@pytest.mark.parametrize("release", RELEASES)
def test_a_bundle_is_installed_upgraded_and_removed_without_an_index(release, bundles):
    try:
        root_file_system(release)
        with machine(release, binds=[(bundles, "/bundles")]) as booted:
            life(booted)
    except LabUnavailable as reason:
        pytest.skip(str(reason))


def life(booted):
    new = read_release().version
    before = files(booted)
    assert booted.must(script(OLD), seconds=300).startswith(f"jira-agent {OLD}: install done")
    assert booted.must("systemctl is-enabled jira-agent") == "enabled\n"
    booted.wait("systemctl is-active jira-agent", "jira-agent is active")
    waits_quietly(booted)
    completes(booted, "/usr/local", "site-functions")
    process = booted.show("jira-agent", "MainPID")
    booted.must("echo JIRA_AGENT_LOG_LEVEL=debug >> /etc/jira-agent/agent.env")
    assert booted.must(script(new), seconds=300).startswith(f"jira-agent {new}: upgrade done")
    booted.wait("systemctl is-active jira-agent", "jira-agent is active after the upgrade")
    assert booted.show("jira-agent", "MainPID") != process
    assert booted.must("grep -c ^JIRA_AGENT /etc/jira-agent/agent.env") == "1\n"
    assert booted.must("jira-agent version") == f"jira-agent {new}\n"
    booted.must("/opt/jira-agent/install.sh uninstall")
    assert booted.run("systemctl is-active jira-agent").stdout != "active\n"
    assert booted.must("grep -c ^JIRA_AGENT /etc/jira-agent/agent.env") == "1\n"
    booted.must(script(new), seconds=300)
    booted.must("/opt/jira-agent/install.sh purge")
    assert files(booted) - before == set()
    assert before - files(booted) == set()
    assert booted.run("getent passwd jira-agent").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "before", "said"),
    [
        ("", "PYTHON=/nonexistent/python3", "there is no /nonexistent/python3"),
        ("", "PYTHON=/bin/false", "/bin/false is not Python 3.11, 3.12 or 3.13"),
        ("", "PATH=/nothing:$SMALL", "there is no python3"),
        ("", "PATH=/old:$SMALL", "Python 3.9.2 is not Python 3.11, 3.12 or 3.13"),
        ("", "setpriv --reuid 1000 --clear-groups", "this needs root"),
        ("uninstall", "", "is not installed by this script"),
        ("explode", "", "usage:"),
    ],
)
def test_it_says_in_one_line_why_it_cannot(arguments, before, said, bundles, bookworm):
    done = bookworm(f"{PREPARE}; {script(read_release().version, arguments, before)}")
    assert done.returncode == 1
    assert done.stderr.startswith("jira-agent: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_was_changed_is_found_before_anything_is_installed(bundles, bookworm):
    folder = f"jira-agent-{read_release().version}-linux-*/"
    done = bookworm(
        f"cp -r /bundles/{folder} /root/b && echo >> $(ls /root/b/wheels/*.whl | head -n 1) && cd /root/b && ./install.sh; "
        "s=$?; test ! -e /opt/jira-agent && exit $s"
    )
    assert done.returncode == 1
    assert "a file is not as it was built" in done.stderr


# A folder with what the script needs but a python3, and one with an old python3.
PREPARE = (
    "mkdir -p /small /old; for tool in id uname dirname sha256sum systemctl getent cut; "
    "do ln -sf $(command -v $tool) /small/$tool; done; SMALL=/small; "
    "printf '#!/bin/sh\\necho Python 3.9.2; exit 1\\n' > /old/python3; chmod 755 /old/python3"
)


@pytest.fixture
def bookworm(bundles):
    """Run a script in a Debian that is not booted and has no network, and is thrown away afterwards."""
    try:
        root = root_file_system("bookworm")
    except LabUnavailable as reason:
        pytest.skip(str(reason))

    def run(text):
        command = ["systemd-nspawn", "--quiet", "--volatile=overlay", "-D", str(root), "--private-network"]
        command += ["--register=no", "--keep-unit", f"--bind-ro={bundles}:/bundles", "--pipe", "sh", "-c", text]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False
        )
        # What nspawn says of its own doings in the end.
        ours = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("Attempted to remove")]
        return subprocess.CompletedProcess(command, done.returncode, done.stdout, "".join(ours))

    assert shutil.which("systemd-nspawn")
    return run
