"""The floor is configured as the table says: TLS 1.3 both ways checked, connections kept, bulk not buffered."""

from bench import certificates, nginx
from bench.place import Place


def test_the_pair_keeps_connections_and_checks_both_certificates(tmp_path):
    files = certificates.write_certificates(tmp_path, ["exit.bench"])
    inside = Place("198.51.100.10")
    entry = nginx.entry_servers(files, [(21001, 22001)], Place(), inside)
    for words in (
        "proxy_ssl_protocols TLSv1.3;",
        "proxy_ssl_verify on;",
        "proxy_ssl_session_reuse on;",
        "server 198.51.100.10:22001; keepalive 128;",
        "listen 127.0.0.1:21001",
        'proxy_http_version 1.1; proxy_set_header Connection "";',
        "proxy_pass https://exit22001;",
    ):
        assert words in entry
    exit_ = nginx.exit_servers(files, {20001: 22001}, inside)
    for words in (
        "ssl_protocols TLSv1.3;",
        "ssl_verify_client on;",
        "listen 198.51.100.10:22001 ssl",
        "server 198.51.100.10:20001; keepalive 128;",
        "location /secure/attachment/ { proxy_buffering off; proxy_request_buffering off;",
    ):
        assert words in exit_
    assert files.ca.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
