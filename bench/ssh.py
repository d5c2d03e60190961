"""The peer to beat: `ssh -R` of OpenSSH, server and client with throw-away keys."""

import getpass
import os
import subprocess
from pathlib import Path

from bench.place import LOOPBACK, Place, need
from bench.processes import descendants, listens
from tests.support.ports import free_port
from tests.support.stack import Program, wait_until


class SshTunnel:
    """sshd, and `ssh -N -R port:upstream`; `ports` maps the upstreams' ports to those that callers ask.

    Callers ask sshd's own address `outside`; `inside` is where the client and the upstreams are.
    """

    def __init__(
        self,
        folder: Path,
        upstreams: list[int],
        ciphers: str | None = None,
        outside: Place = LOOPBACK,
        inside: Place = LOOPBACK,
    ) -> None:
        folder.mkdir()
        folder.chmod(0o700)
        self.ports = {upstream: free_port() for upstream in upstreams}
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        port = free_port()
        self.server = _serve(folder, port, outside)
        command = ["ssh", "-N", "-p", str(port), "-i", str(folder / "user"), "-o", "StrictHostKeyChecking=no"]
        command += ["-o", f"UserKnownHostsFile={folder}/known", "-o", "ExitOnForwardFailure=yes"]
        for upstream, tunnel in self.ports.items():
            command += ["-R", f"{outside.address}:{tunnel}:{inside.address}:{upstream}"]
        if ciphers:
            command += ["-c", ciphers]
        command.append(f"{getpass.getuser()}@{outside.address}")
        self.client = inside.run(command, folder / "ssh.log")
        wait_until(lambda: all(listens(self.server.pid, each) for each in self.ports.values()), "ssh -R listens")

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes that carry bytes: below the server one is the session; and the client."""
        return {"server": descendants(self.server.pid), "client": [self.client.pid]}

    @property
    def programs(self) -> list[Program]:
        """What has to be stopped."""
        return [self.client, self.server]


def _serve(folder: Path, port: int, place: Place) -> Program:
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {place.address}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/sshd.pid\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nAllowTcpForwarding yes\n"
        "GatewayPorts clientspecified\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = place.run([need("sshd"), "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log")
    wait_until(lambda: listens(server.pid, port), "sshd listens")
    return server
