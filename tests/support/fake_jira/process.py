"""The stand-in as a child process, steered synchronously: for end-to-end tests and the demo.

with JiraProcess(profile="9.12", context="/jira") as jira:
    ...  # jira.url; jira.requests(); jira.misbehave("/rest/api/2/issue", Slow(2))
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.fake_jira.misbehaviour import Fault, fault_to_json
from tests.support.fake_jira.tls import TlsFiles

PROJECT = Path(__file__).resolve().parents[3]
START_SECONDS = 15.0


class JiraProcess:
    """A running `python -m tests.support.fake_jira`. Parameters as of FakeJira."""

    def __init__(
        self,
        profile: str = "9.12",
        *,
        context: str = "",
        base_url: str | None = None,
        tls: TlsFiles | None = None,
        port: int = 0,
        idle_timeout: float = 20.0,
        issues: int = 60,
    ) -> None:
        self._command = [sys.executable, "-m", "tests.support.fake_jira", "--profile", profile]
        self._command += ["--context", context, "--port", str(port), "--idle-timeout", str(idle_timeout)]
        self._command += ["--issues", str(issues)]
        if base_url is not None:
            self._command += ["--base-url", base_url]
        if tls is not None:
            self._command += ["--tls", str(tls.cert), str(tls.key)]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.base_url = ""
        self.port = 0
        self.control_port = 0

    def __enter__(self) -> Self:
        """Start it and wait until it listens. Raises RuntimeError when it ends instead."""
        self._process = subprocess.Popen(self._command, cwd=PROJECT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._process.stdout.close()
            raise RuntimeError(f"the stand-in Jira ended with status {self._process.returncode}")
        ready = json.loads(line)
        self.url, self.base_url = ready["url"], ready["base_url"]
        self.port, self.control_port = ready["port"], ready["control"]
        return self

    def __exit__(self, *exc: object) -> None:
        """End it."""
        self.stop()

    def stop(self, *, kill: bool = False) -> None:
        """End it: SIGTERM, or SIGKILL as a crash would."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the child process."""
        assert self._process is not None
        return self._process.pid

    def call(self, command: str, **arguments: Any) -> Any:
        """One command of the control port (control.py). Raises RuntimeError when it is refused."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=START_SECONDS)
        try:
            body = json.dumps(arguments).encode()
            connection.request("POST", f"/__control__/{command}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(value["error"])
        return value

    def requests(self, path: str = "", *, method: str | None = None, marker: str | None = None) -> list[dict[str, Any]]:
        """Recorded requests (RecordedRequest.to_json), narrowed as FakeJira.matching does."""
        found: list[dict[str, Any]] = self.call("requests", path=path, method=method, marker=marker)
        return found

    def info(self) -> dict[str, Any]:
        """active, connections, open_connections, recorded, crashes."""
        value: dict[str, Any] = self.call("info")
        return value

    def misbehave(
        self,
        prefix: str,
        fault: Fault,
        *,
        times: int | None = None,
        method: str | None = None,
        header: tuple[str, str] | None = None,
    ) -> None:
        """As FakeJira.misbehave; `call("behave")` ends all faults."""
        self.call("misbehave", prefix=prefix, fault=fault_to_json(fault), times=times, method=method, header=header)

    def wait_for(self, predicate: Callable[["JiraProcess"], object], timeout: float = 5.0) -> None:
        """Poll until the predicate is true. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while not predicate(self):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.02)
