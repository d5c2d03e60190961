"""A real squid, on loopback unless told otherwise: Basic authentication, CONNECT to one port only, plain and over TLS. Ended by its id."""

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tests.support.fake_jira import make_certificate
from tests.support.ports import free_port
from tests.support.stack import wait_until

USER, PASSWORD = "svc.bridge", "p@ss:w%rd/1"
AUTHENTICATOR = Path("/usr/lib/squid/basic_ncsa_auth")


class SquidUnavailable(Exception):
    """There is no squid here; the text says what is missing."""


class Squid:
    """Where it listens, its CA, and what it has let through."""

    def __init__(self, program, folder, allowed_port, host):
        self.program = program
        self.folder = folder
        self.host = host
        self.allowed_port = allowed_port
        self.port = free_port()
        self.tls_port = free_port()
        files = make_certificate(folder)
        self.ca = files.cert
        pair = folder / "squid.pem"
        pair.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
        hashed = subprocess.run(
            ["openssl", "passwd", "-apr1", "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
        )
        (folder / "htpasswd").write_text(f"{USER}:{hashed.stdout.strip()}\n")
        self.log = folder / "access.log"
        (folder / "squid.conf").write_text(self._configuration(pair))

    def _configuration(self, pair):
        return f"""
http_port {self.host}:{self.port}
https_port {self.host}:{self.tls_port} tls-cert={pair}
auth_param basic program {AUTHENTICATOR} {self.folder}/htpasswd
auth_param basic realm corporate
acl tunnel port {self.allowed_port}
acl known proxy_auth REQUIRED
http_access deny CONNECT !tunnel
http_access deny !known
http_access allow known
http_access deny all
cache deny all
pid_filename none
access_log stdio:{self.log}
cache_log {self.folder}/cache.log
coredump_dir {self.folder}
shutdown_lifetime 0 seconds
visible_hostname lab
"""

    def start(self):
        """Start it in the current network namespace."""
        with (self.folder / "out").open("ab") as out:
            command = [self.program, "-N", "-f", str(self.folder / "squid.conf")]
            self._process = subprocess.Popen(command, stdout=out, stderr=out)

    def stop(self):
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def statuses(self):
        """Return squid's words for every CONNECT so far: TCP_TUNNEL/200, TCP_DENIED/407 …"""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[3] for line in lines]

    def is_up(self):
        import socket

        for port in (self.port, self.tls_port):
            with socket.socket() as knock:
                if knock.connect_ex((self.host, port)):
                    return False
        return True


@contextmanager
def running_squid(allowed_port, host="127.0.0.1"):
    """Run one until the end of the block; `stop` and `start` it meanwhile.

    Raises:
        SquidUnavailable: it is not installed.
    """
    program = shutil.which("squid") or shutil.which("squid", path="/usr/sbin")
    if program is None or not AUTHENTICATOR.exists():
        raise SquidUnavailable("squid is not installed")
    folder = Path(tempfile.mkdtemp(prefix="jt-squid-"))
    try:
        squid = Squid(program, folder, allowed_port, host)
        folder.chmod(0o755)
        for path in [folder, *folder.iterdir()]:
            shutil.chown(path, "proxy", "proxy")
        squid.start()
        try:
            wait_until(squid.is_up, "squid listens")
            yield squid
        finally:
            squid.stop()
    finally:
        shutil.rmtree(folder)
