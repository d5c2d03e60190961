"""The stand-in for Jira at the far end: nginx for answers, and behind it a sink that takes uploads."""

import os
from contextlib import ExitStack
from pathlib import Path

from bench import answers
from bench.place import Place, need
from bench.processes import listens
from bench.sink import sink
from tests.support.ports import free_port
from tests.support.stack import wait_until

BULK_BYTES = 64 * 1024 * 1024
ENDLESS_BYTES = 3 * 1024 * 1024 * 1024  # longer than any load runs
ATTACHMENTS = "/secure/attachment/11300"
BULK, ENDLESS = f"{ATTACHMENTS}/bulk.bin", f"{ATTACHMENTS}/endless.bin"

_CONFIGURATION = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err; user root;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  default_type application/json; client_max_body_size 0; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
  upstream sink {{ server {address}:{sink}; keepalive 64; }}
  server {{ listen {address}:{port} backlog=4096; root {folder}/www;
    location {attachments} {{ default_type application/octet-stream; }}
    location {upload} {{ proxy_pass http://sink; }} }}
}}
"""


def upstream(stack: ExitStack, folder: Path, place: Place) -> int:
    """Start both until `stack` ends; return nginx's port."""
    folder.mkdir()
    folder.chmod(0o755)
    files = {answers.SMALL: len(answers.small()), BULK: BULK_BYTES, ENDLESS: ENDLESS_BYTES}
    for path, size in files.items():
        file = folder / "www" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(answers.small() if path == answers.SMALL else b"")
        os.truncate(file, size)
    taker, sink_port = sink(folder, place)
    stack.callback(taker.stop)
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            address=place.address,
            sink=sink_port,
            port=port,
            attachments=ATTACHMENTS,
            upload=answers.UPLOAD,
        )
    )
    command = [need("nginx"), "-c", str(configuration), "-p", str(folder), "-e", str(folder / "nginx.err")]
    web = place.run(command, folder / "nginx.log", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    stack.callback(web.stop)
    wait_until(lambda: listens(web.pid, port), "the upstream listens")
    return port
