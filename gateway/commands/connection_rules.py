"""What a connection may look like: flags in, a checked row out. Pure; a bad combination is a usage error."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import typer

from certs.certificates import read_certificates
from certs.errors import CertificateRejected
from gateway.store import Connection, Credentials
from gateway.store.rows import DIRECT

MAX_TIMEOUT_SECONDS = 3600

Seal = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class ConnectionFlags:
    """The flags of `connections add` and `update`; None means: not given."""

    via: str | None = None
    base_url: str | None = None
    credentials: str | None = None
    username: str | None = None
    secret: str | None = None
    timeout: float | None = None
    rewrite_links: bool | None = None
    ca_pem: str | None = None


def new_connection(name: str, flags: ConnectionFlags, seal: Seal) -> Connection:
    """Return the row for `connections add`; raises typer.BadParameter."""
    if flags.via is None or flags.credentials is None:
        raise typer.BadParameter("--via and --credentials are needed")
    return changed_connection(Connection(name, flags.via, Credentials(flags.credentials)), flags, seal)


def changed_connection(before: Connection, flags: ConnectionFlags, seal: Seal) -> Connection:
    """Return the row for `connections update`: what is not given stays; raises typer.BadParameter.

    Another way to reach Jira drops the old way's address and CA. Credentials named anew are given whole:
    a user name or secret that is not given again is gone.
    """
    after = before
    if flags.via is not None and flags.via != before.via:
        after = replace(after, via=flags.via, base_url=None, ca_pem=None)
    if flags.credentials is not None:
        after = replace(after, credentials=Credentials(flags.credentials), username=None, sealed_secret=None)
    after = replace(
        after,
        base_url=after.base_url if flags.base_url is None else read_base_url(flags.base_url),
        username=after.username if flags.username is None else _read_username(flags.username),
        sealed_secret=after.sealed_secret if flags.secret is None else seal(flags.secret),
        timeout_seconds=after.timeout_seconds if flags.timeout is None else _read_timeout(flags.timeout),
        rewrite_links=after.rewrite_links if flags.rewrite_links is None else flags.rewrite_links,
        ca_pem=after.ca_pem if flags.ca_pem is None else _read_ca(flags.ca_pem),
    )
    _check(after)
    return after


def read_base_url(text: str) -> str:
    """Return a Jira's base URL with its context path, without a slash at the end; raises typer.BadParameter."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise typer.BadParameter("--base-url is no address: write it as https://jira.example.com/jira")
    if parts.username is not None or parts.query or parts.fragment or "?" in text or "#" in text:
        raise typer.BadParameter("--base-url holds more than scheme, host, port and context path")
    if any(segment in {"", ".", ".."} for segment in parts.path.strip("/").split("/")) and parts.path.strip("/"):
        raise typer.BadParameter("--base-url has an ambiguous path: write it without //, . and ..")
    return text.rstrip("/")


def _read_username(text: str) -> str:
    if not text or ":" in text or not text.isprintable():
        raise typer.BadParameter("--username is empty, or holds ':' or control characters (RFC 7617)")
    return text


def _read_timeout(seconds: float) -> float:
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_TIMEOUT_SECONDS):
        raise typer.BadParameter(f"--timeout is not between 0 and {MAX_TIMEOUT_SECONDS} seconds")
    return seconds


def _read_ca(pem: str) -> str:
    try:
        read_certificates(pem.encode())
    except CertificateRejected as error:
        raise typer.BadParameter(f"--ca-file: {error}") from None
    return pem


def _check(row: Connection) -> None:
    """Refuse what contradicts itself, in the order in which people would notice."""
    direct, own = row.via == DIRECT, row.credentials is Credentials.GATEWAY
    problems = {
        "--via direct needs --base-url: where this Jira is": direct and row.base_url is None,
        "--base-url goes with --via direct: an agent has its own JIRA_AGENT_JIRA_URL": not direct
        and row.base_url is not None,
        "--ca-file goes with --via direct: an agent has its own JIRA_AGENT_JIRA_CA_FILE": not direct
        and row.ca_pem is not None,
        "--credentials agent needs an agent: use gateway or caller with --via direct": direct
        and row.credentials is Credentials.AGENT,
        "--credentials gateway needs --secret-file (a token, or with --username a password)": own
        and row.sealed_secret is None,
        "--username and --secret-file go with --credentials gateway": not own
        and (row.username is not None or row.sealed_secret is not None),
    }
    for problem, applies in problems.items():
        if applies:
            raise typer.BadParameter(problem)
