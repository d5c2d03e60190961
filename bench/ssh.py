"""The peer to beat: `ssh -R` of OpenSSH, server and client with throw-away keys on loopback."""

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.stack import Program, free_port, wait_until


class SshTunnel:
    """sshd, and `ssh -N -R port:127.0.0.1:upstream`; `ports` maps upstream ports to tunnel ports."""

    def __init__(self, folder: Path, upstreams: list[int], ciphers: str | None = None) -> None:
        folder.mkdir()
        folder.chmod(0o700)
        self.ports = {upstream: free_port() for upstream in upstreams}
        port = free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            f"PidFile {folder}/sshd.pid\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nAllowTcpForwarding yes\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.server = Program(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")], os.environ, folder / "sshd.log"
        ).start()
        wait_until(lambda: _listens(port), "sshd listens")
        forwards = [word for up, tunnel in self.ports.items() for word in ("-R", f"127.0.0.1:{tunnel}:127.0.0.1:{up}")]
        command = ["ssh", "-N", "-p", str(port), "-i", str(folder / "user"), "-o", "StrictHostKeyChecking=no"]
        command += ["-o", f"UserKnownHostsFile={folder}/known", "-o", "ExitOnForwardFailure=yes", *forwards]
        if ciphers:
            command += ["-c", ciphers]
        command.append(f"{getpass.getuser()}@127.0.0.1")
        self.client = Program(command, os.environ, folder / "ssh.log").start()
        for tunnel in self.ports.values():
            wait_until(lambda tunnel=tunnel: _listens(tunnel), "ssh -R listens")

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes that carry bytes: the server's children (one is the session) and the client."""
        children = subprocess.run(["pgrep", "-P", str(self.server.pid)], capture_output=True, text=True, check=True)
        sessions = [int(pid) for pid in children.stdout.split()]
        below = subprocess.run(
            ["pgrep", "-P", ",".join(map(str, sessions))], capture_output=True, text=True, check=False
        )
        return {"server": sessions + [int(pid) for pid in below.stdout.split()], "client": [self.client.pid]}

    def stop(self) -> None:
        """End both."""
        self.client.stop()
        self.server.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
