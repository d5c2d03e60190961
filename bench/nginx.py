"""nginx three times: the stand-in for Jira, and the floor of two HTTP hops, nginx -> nginx over mutual TLS.

The floor is what a tunnel of two plain proxies costs when the outside may connect to the inside: an entry that callers
ask, TLS 1.3 with client certificates and kept connections between entry and exit, kept connections to the upstream.
One worker each, no access log, answers of bulk passed on without buffering.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from bench import answers
from bench.certificates import Certificates, write_certificates
from bench.place import LOOPBACK, Place, need
from bench.processes import descendants, listens
from tests.support.ports import free_port
from tests.support.stack import Program, wait_until

KEPT = 128  # connections that stay open between two of them
_NAME = "exit.bench"


@dataclass(frozen=True)
class Server:
    """A running nginx and the ports it listens on, as they were asked for."""

    program: Program
    ports: tuple[int, ...]

    @property
    def pids(self) -> list[int]:
        """Master and worker."""
        return descendants(self.program.pid)


def website(folder: Path, place: Place = LOOPBACK) -> Server:
    """Start the stand-in for Jira: a small answer, a search answer and a bulk answer, as files."""
    port = free_port()
    base = f"http://{place.address}:{port}"
    for path, body in ((answers.SMALL, answers.small()), (answers.SEARCH, answers.search(base)), (answers.BULK, b"")):
        file = folder / "www" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    answers.zeros(folder / "www" / answers.BULK.lstrip("/"), answers.BULK_BYTES)
    server = f"""sendfile on; default_type application/json;
  server {{ listen {place.address}:{port} backlog=4096; root {folder}/www;
    location {answers.BULK} {{ default_type application/octet-stream; }} }}"""
    return _start(folder, server, (port,), place)


class NginxPair:
    """Entry and exit; `ports` maps the upstreams' ports to those that callers ask."""

    def __init__(self, folder: Path, upstreams: list[int], entry: Place = LOOPBACK, inside: Place = LOOPBACK) -> None:
        folder.mkdir()
        files = write_certificates(folder, [_NAME])
        middle = {port: free_port() for port in upstreams}
        self.exit = _start(_below(folder, "exit"), exit_servers(files, middle, inside), (*middle.values(),), inside)
        self.ports = {port: free_port() for port in upstreams}
        rows = [(self.ports[port], middle[port]) for port in upstreams]
        servers = entry_servers(files, rows, entry, inside)
        self.entry = _start(_below(folder, "entry"), servers, (*self.ports.values(),), entry)

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes that carry bytes."""
        return {"entry": self.entry.pids, "exit": self.exit.pids}

    @property
    def programs(self) -> list[Program]:
        """What has to be stopped."""
        return [self.entry.program, self.exit.program]


def exit_servers(files: Certificates, middle: dict[int, int], place: Place) -> str:
    tls = f"""ssl_certificate {files.server}; ssl_certificate_key {files.server_key}; ssl_protocols TLSv1.3;
  ssl_client_certificate {files.ca}; ssl_verify_client on; ssl_session_cache shared:tls:1m;"""
    parts = [tls]
    for upstream, port in middle.items():
        parts += [
            f"upstream up{upstream} {{ server {place.address}:{upstream}; {_kept()} }}",
            f"server {{ listen {place.address}:{port} ssl backlog=4096;",
            _locations(f"http://up{upstream}"),
            "}",
        ]
    return "\n  ".join(parts)


def entry_servers(files: Certificates, rows: list[tuple[int, int]], place: Place, inside: Place) -> str:
    tls = f"""proxy_ssl_certificate {files.client}; proxy_ssl_certificate_key {files.client_key};
  proxy_ssl_protocols TLSv1.3; proxy_ssl_trusted_certificate {files.ca}; proxy_ssl_verify on;
  proxy_ssl_name {_NAME}; proxy_ssl_session_reuse on;"""
    parts = [tls]
    for port, middle in rows:
        parts += [
            f"upstream exit{middle} {{ server {inside.address}:{middle}; {_kept()} }}",
            f"server {{ listen {place.address}:{port} backlog=4096;",
            _locations(f"https://exit{middle}"),
            "}",
        ]
    return "\n  ".join(parts)


def _kept() -> str:
    return f"keepalive {KEPT}; keepalive_requests 100000000; keepalive_timeout 600s;"


def _locations(target: str) -> str:
    headers = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'
    plain = "proxy_buffering off; proxy_request_buffering off; client_max_body_size 0;"
    return f"""{headers}
    location / {{ proxy_pass {target}; }}
    location /secure/attachment/ {{ {plain} proxy_pass {target}; }}
    location {answers.UPLOAD} {{ {plain} proxy_pass {target}; }}"""


def _start(folder: Path, servers: str, ports: tuple[int, ...], place: Place) -> Server:
    folder.chmod(0o755)
    owner = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    configuration.write_text(
        f"""daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {folder}/nginx.pid;
error_log {folder}/nginx.err; {owner}
events {{ worker_connections 8192; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  proxy_buffer_size 16k; proxy_buffers 16 16k; client_body_temp_path {folder}/body; {temporary}
  {servers}
}}
"""
    )
    command = [need("nginx"), "-c", str(configuration), "-p", str(folder), "-e", str(folder / "nginx.err")]
    program = place.run(command, folder / "nginx.log", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    wait_until(lambda: all(listens(program.pid, port) for port in ports), f"nginx listens ({folder.name})")
    return Server(program, ports)


def _below(folder: Path, name: str) -> Path:
    below = folder / name
    below.mkdir()
    return below
