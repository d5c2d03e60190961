"""A gateway and its agents as real processes with real TLS in a scratch folder: for e2e tests, demo and bench.

    with Stack(folder, jira_url=jira.url) as stack:
        stack.start_gateway()
        agent = stack.enroll("hq")
        agent.start()
        token = stack.connect("hq")

No secret is ever put on a command line: codes go through standard input, passwords through the environment.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 45.0
STOP_SECONDS = 15.0


def wait_until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until the condition holds; raises TimeoutError that says what did not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about within {seconds:g} s")
        time.sleep(0.03)


def page(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of an admin page; status 0 when nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


class Program:
    """One child process with its log file; ended by id, never by name."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.arguments = command
        self.environment = dict(environment)
        self.log = log
        self.inherited: list[int] = []  # descriptors
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        """Start it; its output is appended to the log file."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=PROJECT,
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                pass_fds=self.inherited,
            )
        return self

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        if self.is_running:
            os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit status; what does not end in time is killed."""
        if self.process is None:
            return 0
        self.send(number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGCONT)
            self.send(signal.SIGKILL)
            return self.process.wait()

    def output(self) -> str:
        """Return everything it wrote so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Agent(Program):
    """An enrolled agent; `settings` are its JIRA_AGENT_* variables, to be changed before `start`."""

    def __init__(self, stack: "Stack", name: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.admin_port = free_port()
        self.state_dir = folder / "state"
        self.settings = {
            "JIRA_AGENT_STATE_DIR": str(self.state_dir),
            "JIRA_AGENT_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "JIRA_AGENT_POLICY_PROFILE": "full-rest",
            **settings,
        }
        super().__init__([sys.executable, "-m", "agent", "run"], {}, folder / "agent.log")
        self._base = stack.clean_environment()

    def start(self) -> Self:
        """Start it with its settings."""
        self.environment = {**self._base, **self.settings}
        return super().start()

    def start_and_wait(self) -> Self:
        """Start it and wait until it is ready."""
        self.start()
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        wait_until(
            lambda: page(self.admin_port, "/readyz")[0] == 200 or not self.is_running, f"the agent {self.name} is ready"
        )
        if not self.is_running:
            raise RuntimeError(f"the agent {self.name} ended: {self.output()}")

    def command(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a jira-agent command with its settings."""
        return run([sys.executable, "-m", "agent", *words], {**self._base, **self.settings}, stdin)


def run(command: list[str], environment: Mapping[str, str], stdin: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Stack:
    """One gateway and any number of agents, below one folder."""

    def __init__(
        self, folder: Path, jira_url: str, *, settings: Mapping[str, str] | None = None, log_level: str = "info"
    ) -> None:
        self.folder = folder
        self.jira_url = jira_url
        self.log_level = log_level
        self.api_port = free_port()
        self.tunnel_port = free_port()
        self.admin_port = free_port()
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.agents: list[Agent] = []
        self.settings = {
            "JIRA_GATEWAY_STATE_DIR": str(folder / "gateway"),
            "JIRA_GATEWAY_API_LISTEN": f"127.0.0.1:{self.api_port}",
            "JIRA_GATEWAY_TUNNEL_LISTEN": f"127.0.0.1:{self.tunnel_port}",
            "JIRA_GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "JIRA_GATEWAY_LOG_LEVEL": log_level,
            **(settings or {}),
        }
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**self.clean_environment(), **self.settings}
        self.gateway = Program([sys.executable, "-m", "gateway", "run"], environment, folder / "gateway.log")

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End every process."""
        for program in [*self.agents, self.gateway]:
            program.stop()

    @staticmethod
    def clean_environment() -> dict[str, str]:
        """Return this process's environment without anything of ours."""
        ours = ("JIRA_AGENT_", "JIRA_GATEWAY_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return {name: value for name, value in os.environ.items() if not name.upper().startswith(ours)}

    def start_gateway(self) -> Self:
        """Start the gateway and wait until it is ready."""
        self.gateway.start()
        self.wait_gateway()
        return self

    def wait_gateway(self) -> None:
        """Wait until the gateway says that it is ready."""
        wait_until(
            lambda: page(self.admin_port, "/readyz")[0] == 200 or not self.gateway.is_running, "the gateway is ready"
        )
        if not self.gateway.is_running:
            raise RuntimeError(f"the gateway ended: {self.gateway.output()}")

    def command(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a jira-gateway command with the gateway's settings."""
        return run([sys.executable, "-m", "gateway", *words], self.gateway.environment, stdin)

    def must(self, *words: str, stdin: str | None = None) -> str:
        """Run a jira-gateway command that has to succeed; return its standard output."""
        done = self.command(*words, stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(f"jira-gateway {' '.join(words[:2])} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def agent(self, name: str, **settings: str) -> Agent:
        """Return a new agent that is not enrolled yet."""
        folder = self.folder / f"{name}-{len(self.agents)}"
        folder.mkdir()
        defaults = {"JIRA_AGENT_JIRA_URL": self.jira_url, "JIRA_AGENT_LOG_LEVEL": self.log_level}
        agent = Agent(self, name, folder, {**defaults, **settings})
        self.agents.append(agent)
        return agent

    def enroll(self, name: str, **settings: str) -> Agent:
        """Invite and enroll one more instance of the agent `name`; it is not started yet."""
        agent = self.agent(name, **settings)
        code = self.must("agents", "invite", name)
        done = agent.command("enroll", "-", stdin=code)
        if done.returncode != 0:
            raise RuntimeError(f"jira-agent enroll ended with {done.returncode}: {done.stderr}")
        return agent

    def connect(
        self, name: str, *, credentials: str = "agent", via: str | None = None, flags: tuple[str, ...] = ()
    ) -> str:
        """Add a connection and a token for it; return the token."""
        self.must("connections", "add", name, "--via", via or name, "--credentials", credentials, *flags)
        return self.token(f"token-{name}", name)

    def token(self, token_name: str, *connections: str, flags: tuple[str, ...] = ()) -> str:
        """Make a token for these connections, and wait until the gateway knows it."""
        words = [word for connection in connections for word in ("--connection", connection)]
        token = json.loads(self.must("tokens", "create", token_name, *words, *flags, "--json"))["token"]
        wait_until(lambda: self.status(token) != 401, "the token is known")
        return str(token)

    def status(self, token: str) -> int:
        """Return what the gateway answers to a request that only proves the token."""
        request = urllib.request.Request(f"{self.url}/-/none", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def count_links(self, name: str) -> int:
        """Return how many links this agent has now, without the time that a command takes."""
        status, text = page(self.admin_port, "/status")
        return int(json.loads(text)["agents"].get(name, 0)) if status == 200 else 0

    def links(self) -> list[dict[str, Any]]:
        """Return the live links as the gateway sees them."""
        done = self.command("agents", "list", "--json")
        return [row for row in json.loads(done.stdout) if row.get("links")] if done.returncode == 0 else []
