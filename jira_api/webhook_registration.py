"""The `url` of a webhook registration that passes through, and whether the administrator allows it.

Both webhook APIs of Jira (`webhooks/1.0`, `jira-webhook/1.0`) take JSON with one top-level `url`. Jira posts issue data
to it, so the agent reads the registration as strictly as Jira reads it loosely: whatever two parsers could understand
differently is refused. Nothing is sent or rewritten here.
"""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

MAX_REGISTRATION_BYTES = 256 * 1024

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Printable ASCII without blank, '"', "\", "<", ">", "^", "`" and "|". Braces and "$" are Jira's URL variables.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z{}~]*)?(?P<query>\?[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z{}~]*)?",
    re.IGNORECASE,
)
# A segment that some servers take for "." or "..", plainly or after decoding; an encoded separator.
_TRAVERSAL = re.compile(r"(?:/(?:\.|%2e){1,2}(?:[/;?]|\Z))|%2f|%5c|%25|//", re.IGNORECASE)


class RegistrationRefused(Exception):
    """The body cannot be read with certainty; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Address(NamedTuple):
    origin: tuple[str, str, int]
    path: str
    has_query: bool


def registration_url(body: bytes) -> str | None:
    """Return the top-level `url` of a registration, None when it has none.

    Raises:
        RegistrationRefused: the body is too large, not one strict UTF-8 JSON object, or names a key twice.
    """
    if len(body) > MAX_REGISTRATION_BYTES:
        raise RegistrationRefused(f"a webhook registration larger than {MAX_REGISTRATION_BYTES} bytes")
    try:
        document = json.loads(
            body.decode("utf-8"), object_pairs_hook=_object_of_distinct_keys, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise RegistrationRefused("a webhook registration that is not strict UTF-8 JSON") from None
    if not isinstance(document, dict):
        raise RegistrationRefused("a webhook registration that is not a JSON object")
    url = document.get("url")
    if url is not None and not isinstance(url, str):
        raise RegistrationRefused("a webhook registration whose url is not a string")
    return url


def _object_of_distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    # Jackson may be configured to match names without regard to case, and then "URL" would win over "url".
    if len({key.lower() for key in document}) != len(pairs):
        raise RegistrationRefused("a webhook registration that names a key twice")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise RegistrationRefused(f"a webhook registration that holds {name}")


def target_allowed(url: str, prefixes: Sequence[str]) -> bool:
    """Tell whether `url` lies under one of `prefixes`.

    The origin must be the same (scheme, host without regard to case, port with its default) and the prefix's path must
    end at a segment boundary. User information, fragments, dot segments, doubled slashes and encoded separators are
    refused. A prefix that is no plain URL itself allows nothing (`is_target_prefix` tells at start).
    """
    address = _read_address(url)
    if address is None:
        return False
    return any(_is_under(address, prefix) for text in prefixes if (prefix := _read_address(text)))


def is_target_prefix(text: str) -> bool:
    """Tell whether `text` can serve as a prefix of `target_allowed`: an http(s) URL without a query."""
    address = _read_address(text)
    return address is not None and not address.has_query


def _read_address(text: str) -> _Address | None:
    match = _URL.fullmatch(text)
    if match is None:
        return None
    path = match["path"] or "/"
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    if _TRAVERSAL.search(path) or not 0 < port < 65536:
        return None
    return _Address((scheme, match["host"].lower(), port), path, match["query"] is not None)


def _is_under(address: _Address, prefix: _Address) -> bool:
    if prefix.has_query or address.origin != prefix.origin:
        return False
    if prefix.path.endswith("/"):
        return address.path.startswith(prefix.path)
    return address.path == prefix.path or address.path.startswith(prefix.path + "/")
