"""Which connection a request means, and which path of Jira: by path or by host name (docs/contract.md §3.1). Pure."""

from typing import NamedTuple

PATH_PREFIX = b"/jira/"


class Addressed(NamedTuple):
    """A request's connection and its target on Jira's side, raw bytes without Jira's context path.

    `by_host` tells how it was addressed; then `target` may still begin with the context path, which only the
    connection's agent can tell (see `without_context`).
    """

    connection: str
    target: bytes
    by_host: bool


def by_path(target: bytes) -> Addressed | None:
    """Read ``/jira/<connection>/<path>``; None when it is no such path."""
    if not target.startswith(PATH_PREFIX):
        return None
    name, slash, rest = target[len(PATH_PREFIX) :].partition(b"/")
    if slash:
        rest = b"/" + rest
    else:
        name, mark, query = name.partition(b"?")
        rest = b"/" + mark + query
    return Addressed(name.decode("latin-1"), rest, by_host=False) if name else None


def by_host(host: bytes, domain: bytes, target: bytes) -> Addressed | None:
    """Read ``<connection>.<domain>[:port]``; None when the host is not below `domain` (lower case)."""
    name, dot, parent = host.lower().partition(b".")
    if not dot or parent.partition(b":")[0] != domain or not name:
        return None
    return Addressed(name.decode("latin-1"), target, by_host=True)


def without_context(target: bytes, context_path: bytes) -> bytes:
    """Return `target` below `context_path` (no trailing slash, may be empty); unchanged when it is not below."""
    if not context_path or not target.startswith(context_path):
        return target
    rest = target[len(context_path) :]
    if rest[:1] == b"/":
        return rest
    return b"/" + rest if rest[:1] in {b"", b"?"} else target
