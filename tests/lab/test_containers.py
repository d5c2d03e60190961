"""The images, built and run for real by a dockerd of this test's own: locked down, enrolled, serving, stopped in order.

The base image cannot be pulled everywhere, so that a Debian made by mmdebstrap is imported under its name. Needs root,
docker.io, and an index for the locked packages.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import SERVICE
from tests.lab.machine import root_file_system
from tests.lab.namespaces import LabUnavailable
from tests.support.callers import ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.ports import free_port
from tests.support.stack import PROJECT, page, wait_until

pytestmark = pytest.mark.timeout(900)

BASE = """FROM local/debian
COPY authorities.pem /tmp/authorities.pem
RUN cat /tmp/authorities.pem >> /etc/ssl/certs/ca-certificates.crt \
 && apt-get update -q && apt-get install -y -q --no-install-recommends python3-venv python3-pip
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
"""
# What compose.yaml sets, and no shell to be found.
LOCKED_DOWN = (
    "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=64", "--memory=256m",
    "--network=host", "--volume=/dev/null:/bin/sh:ro", "--volume=/dev/null:/bin/bash:ro",
)  # fmt: skip
HASHES = """import hashlib, os, sys
for folder, _, names in sorted(os.walk("/opt")):
    for name in sorted(name for name in names if not name.endswith(".pyc")):
        path = os.path.join(folder, name)
        print(hashlib.sha256(open(path, "rb").read()).hexdigest(), path)
"""


class Docker:
    """A docker daemon of this test's own."""

    def __init__(self, socket):
        self._environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}

    def run(self, *words, stdin=None, source=None, seconds=60):
        """Run a docker command; its standard input is a text, or another program's output."""
        return subprocess.run(
            ["docker", *words],
            cwd=PROJECT,
            env=self._environment,
            **({"input": stdin} if source is None else {"stdin": source}),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def must(self, *words, **how):
        """Run a docker command that has to succeed, and return its output."""
        done = self.run(*words, **how)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def start(self, image, name, environment, *flags):
        """Start a container; it is removed with the daemon."""
        values = [f"--env={key}={value}" for key, value in environment.items()]
        return self.must("run", "--detach", f"--name={name}", *LOCKED_DOWN, *flags, *values, image)


@contextmanager
def daemon(folder):
    """Run a dockerd with everything below `folder`."""
    missing = [tool for tool in ("dockerd", "docker", "mmdebstrap") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        raise LabUnavailable(f"containers need root, and {', '.join(missing) or 'dockerd'}")
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    quiet = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"]
    command = ["dockerd", *places, *quiet, "-H", f"unix://{folder}/sock"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        docker = Docker(folder / "sock")
        try:
            wait_until(lambda: docker.run("info").returncode == 0, "dockerd is up", 30)
            yield docker
        finally:
            for container in docker.run("ps", "-aq").stdout.split():
                docker.run("rm", "--force", container)
            process.terminate()
            process.wait(30)
            subprocess.run(["umount", str(folder / "exec" / "netns" / "default")], capture_output=True, check=False)
    for controller in Path("/sys/fs/cgroup").glob("*/docker"):
        controller.rmdir()


def base_image(docker, folder):
    """Give the daemon an image of the name that the Dockerfile begins with."""
    pack = ["tar", "-C", str(root_file_system("trixie")), "-c", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as archive:
        docker.must("import", "-", "local/debian", source=archive.stdout, seconds=120)
    context = folder / "base"
    context.mkdir()
    (context / "Dockerfile").write_text(BASE)
    system = Path("/etc/ssl/certs/ca-certificates.crt")  # where a proxy signs the index anew, its CA is in there
    (context / "authorities.pem").write_bytes(system.read_bytes() if system.exists() else b"")
    docker.must("build", "--network=host", "--tag=python:3.13-slim", str(context), seconds=300)


@pytest.fixture(scope="module")
def docker():
    folder = Path(tempfile.mkdtemp(prefix="jtd", dir="/tmp"))
    try:
        with daemon(folder) as running:
            base_image(running, folder)
            for target in ("gateway", "agent"):
                running.must("build", "--network=host", f"--target={target}", f"--tag=jira-{target}", ".", seconds=400)
            yield running
    except LabUnavailable as reason:
        pytest.skip(f"no lab here: {reason}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def healthy(docker, name):
    state = json.loads(docker.must("inspect", "--format={{json .State}}", name))
    assert state["Running"], docker.must("logs", name)
    return state["Health"]["Status"] == "healthy"


def test_locked_down_containers_enroll_serve_restart_and_drain(docker, tmp_path):
    api, tunnel, admin, agent_admin = (free_port() for _ in range(4))
    url = f"http://127.0.0.1:{api}"
    gateway = {
        "JIRA_GATEWAY_API_LISTEN": f"127.0.0.1:{api}",
        "JIRA_GATEWAY_TUNNEL_LISTEN": f"127.0.0.1:{tunnel}",
        "JIRA_GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{admin}",
    }
    with JiraProcess("9.12", context="/jira") as jira:
        agent = {"JIRA_AGENT_JIRA_URL": jira.url, "JIRA_AGENT_ADMIN_LISTEN": f"127.0.0.1:{agent_admin}", **SERVICE}
        quick = "--health-interval=1s"
        docker.start("jira-gateway", "gateway", gateway, "--volume=gateway:/var/lib/jira-gateway", quick)
        docker.start("jira-agent", "agent", agent, "--volume=agent:/var/lib/jira-agent", quick)
        wait_until(lambda: healthy(docker, "gateway"), "the gateway is healthy", 60)
        wait_until(lambda: healthy(docker, "agent"), "the agent is healthy, though it waits", 60)
        assert page(agent_admin, "/readyz")[0] == 503
        code = docker.must("exec", "gateway", "jira-gateway", "agents", "invite", "hq")
        docker.must("exec", "--interactive", "agent", "jira-agent", "enroll", "-", stdin=code)
        wait_until(lambda: page(agent_admin, "/readyz")[0] == 200, "the agent has a link", 60)
        add = ("connections", "add", "hq", "--via", "hq", "--credentials", "agent")
        docker.must("exec", "gateway", "jira-gateway", *add)
        token = docker.must("exec", "gateway", "jira-gateway", "tokens", "create", "ci", "--connection", "hq")
        wait_until(lambda: answered(url, token) == 200, "the first request is answered", 20)
        for name in ("gateway", "agent"):
            docker.must("restart", "--time=30", name, seconds=90)
            wait_until(lambda: answered(url, token) == 200, f"requests are answered after a restart of the {name}", 30)
        for name in ("agent", "gateway"):
            began = time.monotonic()
            docker.must("stop", "--time=30", name, seconds=60)
            assert time.monotonic() - began < 25, "it was killed, not stopped"
            state = json.loads(docker.must("inspect", "--format={{json .State}}", name))
            assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    who = json.loads(docker.must("inspect", "--format={{json .Config}}", "gateway"))
    assert who["User"] == "10001:10001"


def answered(url, token):
    try:
        return ask(f"{url}/jira/hq", "GET", "/rest/api/2/myself", None, [bearer(token)]).status
    except OSError:
        return 0


def test_an_unhealthy_program_is_told_and_a_wrong_setting_ends_with_78(docker):
    port = free_port()
    wrong = docker.run("run", "--rm", *LOCKED_DOWN, "--env=JIRA_AGENT_JIRA_ULR=http://x", "jira-agent")
    assert wrong.returncode == 78
    assert "did you mean JIRA_AGENT_JIRA_URL?" in wrong.stderr
    nothing = docker.run(
        "run", "--rm", *LOCKED_DOWN, f"--env=JIRA_AGENT_ADMIN_LISTEN=127.0.0.1:{port}", "jira-agent", "healthcheck"
    )
    assert nothing.returncode == 69
    assert f"nothing healthy on 127.0.0.1:{port}" in nothing.stderr


def test_the_images_hold_what_they_need_and_nothing_that_builds(docker):
    for image, without in (("jira-agent", "gateway"), ("jira-gateway", "agent")):
        listed = docker.must("run", "--rm", *LOCKED_DOWN, "--entrypoint=python", image, "-c", HASHES)
        paths = [line.split("  ")[-1].split(" ", 1)[-1] for line in listed.splitlines()]
        assert any("/site-packages/tunnel/link.py" in path for path in paths)
        unwanted = [path for path in paths if f"/site-packages/{without}/" in path or "/site-packages/pip/" in path]
        assert unwanted == []


def test_a_second_build_from_the_lock_is_the_same_byte_for_byte(docker):
    """But for compiled files: CPython's are not the same each time, and are made from what is compared here."""
    command = ("run", "--rm", *LOCKED_DOWN, "--entrypoint=python", "jira-agent", "-c", HASHES)
    first = docker.must(*command)
    build = ("build", "--no-cache", "--network=host", "--target=agent", "--tag=jira-agent", ".")
    docker.must(*build, seconds=400)
    assert docker.must(*command) == first


def test_compose_is_valid(docker):
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    addresses = {"JIRA_GATEWAY_PUBLIC_URL": "https://g.example.com", "JIRA_GATEWAY_TUNNEL_URL": "wss://g.example.com"}
    command = ["docker-compose", "--file", str(PROJECT / "compose.yaml"), "config"]
    done = subprocess.run(
        command, env={**os.environ, **addresses}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "read_only: true" in done.stdout
    without = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert without.returncode != 0
    assert "JIRA_GATEWAY_PUBLIC_URL" in without.stderr
