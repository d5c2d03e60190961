"""The nearest rival: Snyk Broker, server and client over TLS, fetched by its package name with npm.

The package lacks the file of defaults that its source has, so it is written above it. Both programs are held to
loopback by a preloaded file, speak to nobody else, and log as shipped, at level info.
Callers speak TLS to the server, for it has one listener for callers and clients. It takes bodies of up to 10 MB.
"""

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench.certificates import Certificates, write_certificates
from bench.place import LOOPBACK
from tests.support.ports import free_port
from tests.support.stack import Program, wait_until

PACKAGE = "snyk-broker"
INSTALL_SECONDS = 240.0
START_SECONDS = 20.0
UPLOAD_BYTES = 8 * 1024 * 1024
_TOKEN = "3f5a9c2e-0000-4000-8000-000000000000"  # a name and no secret: both processes end with the run
_DEFAULTS = {
    "BROKER_SERVER_UNIVERSAL_CONFIG_ENABLED": False,
    "REMOTE_WORKLOAD_NAME": "BrokerWorkload",
    "REMOTE_WORKLOAD_MODULE_PATH": "../broker-workload/websocketRequests",
    "CLIENT_WORKLOAD_NAME": "BrokerClientRequestWorkload",
    "CLIENT_WORKLOAD_MODULE_PATH": "../broker-workload/clientLocalRequests",
}
_LOOPBACK_ONLY = """
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  if (typeof port === 'object') return listen.call(this, port, ...rest);
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ...rest.filter((x) => typeof x === 'function'));
};
"""


class Unavailable(Exception):
    """The rival cannot be measured here; the message says why."""


def fetch() -> Path:
    """Return the folder that the package is installed in, below the user's cache; fetched once.

    Raises:
        Unavailable: no node or npm, or npm failed.
    """
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise Unavailable(f"{' and '.join(missing)} not installed")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jira-tunnel" / "bench" / PACKAGE
    if not _package(folder).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", PACKAGE]
        _npm([*command, "--prefix", str(folder)])
    (folder / "config.default.json").write_text(json.dumps(_DEFAULTS))
    (folder / "loopback.js").write_text(_LOOPBACK_ONLY)
    return folder


def version(folder: Path) -> str:
    """Return the version of the installed package."""
    return str(json.loads(_package(folder).read_text())["version"])


def _package(folder: Path) -> Path:
    return folder / "node_modules" / PACKAGE / "package.json"


def _npm(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm did not fetch {PACKAGE} within {INSTALL_SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise Unavailable(f"npm could not fetch {PACKAGE}: {lines[0]}")


class Broker:
    """A server, and a client that is connected to it.

    Raises:
        Unavailable: one of them does not start.
    """

    def __init__(self, installed: Path, folder: Path, upstream: int, uploads: int) -> None:
        folder.mkdir()
        files = write_certificates(folder, ["localhost", "127.0.0.1"])
        self.ca = files.ca
        _write_rules(folder / "accept.json", upstream, uploads)
        self.port = free_port()
        self.programs: list[Program] = []
        self._start(installed, folder, "server", _server_settings(files, self.port))
        self._wait(f"https://127.0.0.1:{self.port}/healthcheck", files.ca)
        port = free_port()
        self._start(installed, folder, "client", _client_settings(files, port, self.port))
        self._wait(f"http://127.0.0.1:{port}/healthcheck", None)

    @property
    def base(self) -> str:
        """What callers put before a path."""
        return f"https://127.0.0.1:{self.port}/broker/{_TOKEN}"

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes that carry bytes."""
        return {"server": [self.programs[0].pid], "client": [self.programs[1].pid]}

    def _start(self, installed: Path, folder: Path, role: str, settings: Mapping[str, str]) -> None:
        script = installed / "node_modules" / PACKAGE / "dist" / "cli" / "index.js"
        command = ["node", "--require", str(installed / "loopback.js"), str(script), role]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ACCEPT": str(folder / "accept.json")}
        self.programs.append(LOOPBACK.run(command, folder / f"{role}.log", {**environment, **settings}))

    def _wait(self, url: str, ca: Path | None) -> None:
        program = self.programs[-1]
        try:
            wait_until(lambda: _answers(url, ca) or not program.is_running, "the broker answers", START_SECONDS)
        except TimeoutError:
            self.stop()
            raise Unavailable(f"it did not answer within {START_SECONDS:g} s") from None
        if not program.is_running:
            self.stop()
            raise Unavailable(f"it ended at once: {program.output()[-300:]}")

    def stop(self) -> None:
        """End both."""
        for program in reversed(self.programs):
            program.stop()


def _write_rules(path: Path, upstream: int, uploads: int) -> None:
    """Write what both ends let pass: the server looks at `public`, the client at `private`."""
    rules = [
        {"method": method, "path": pattern, "origin": f"http://127.0.0.1:{port}"}
        for method, pattern, port in (
            ("GET", "/rest/*", upstream),
            ("GET", "/secure/*", upstream),
            ("POST", "/rest/*", uploads),
        )
    ]
    path.write_text(json.dumps({"public": [{"method": "any", "path": "/*"}], "private": rules}))


def _server_settings(files: Certificates, port: int) -> dict[str, str]:
    return {
        "BROKER_TYPE": "server",
        "PORT": str(port),
        "HTTPS_CERT": str(files.server),
        "HTTPS_KEY": str(files.server_key),
    }


def _client_settings(files: Certificates, port: int, server: int) -> dict[str, str]:
    return {
        "BROKER_TYPE": "client",
        "PORT": str(port),
        "BROKER_TOKEN": _TOKEN,
        "BROKER_SERVER_URL": f"https://127.0.0.1:{server}",
        "BROKER_CLIENT_URL": f"http://127.0.0.1:{port}",
        "NODE_EXTRA_CA_CERTS": str(files.ca),
        "CA_CERT": str(files.ca),
        "PREFLIGHT_CHECKS_ENABLED": "false",
        "IPV6_CONNECTIVITY_CHECK_ENABLED": "false",
    }


def _answers(url: str, ca: Path | None) -> bool:
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    try:
        with urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
