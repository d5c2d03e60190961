"""Query strings as Jira reads them, and the parameters that would override what the policy decided.

Jira (Tomcat and Jersey alike) splits at "&" only, turns "+" into a blank and decodes names once. Raw bytes stay
raw: nothing here rebuilds a query for sending, except `redact_query`, whose result is for logs.
"""

import re
from urllib.parse import unquote_plus

# Seraph logs in with os_*, apps with jwt; _method is a method override of several plugins (Spring, HTTP frameworks).
CREDENTIAL_PARAMETERS = frozenset({"_method", "os_username", "os_password", "os_cookie", "jwt"})
OAUTH1_PARAMETER = "oauth_signature"

# A query that cannot hold one of those names is recognised in one scan: no such name, no name with an escape.
_SUSPECT = re.compile(
    rb"(?:\A|&)(?:[^=&]*[%+]|(?:_method|os_username|os_password|os_cookie|jwt)(?:[=&]|\Z))", re.IGNORECASE
)
_REDACTED = CREDENTIAL_PARAMETERS - {"_method"} | {OAUTH1_PARAMETER, "oauth_token", "access_token"}


def query_parameters(query: bytes) -> list[tuple[str, str]]:
    """Decode a raw query into its parameters, in order and with repeats."""
    pairs = (piece.partition(b"=") for piece in query.split(b"&") if piece)
    return [(decode_component(name), decode_component(value)) for name, _, value in pairs]


def decode_component(raw: bytes) -> str:
    """Decode one name or value; invalid escapes stay as they are."""
    return unquote_plus(raw.decode("latin-1"))


def credential_query_names(query: bytes) -> tuple[str, ...]:
    """Return the decoded names in `query` that carry credentials or override the method (empty when clean)."""
    if _SUSPECT.search(query) is None:
        return ()
    names = (name for name, _ in query_parameters(query))
    return tuple(name for name in names if name.strip().lower() in CREDENTIAL_PARAMETERS)


def redact_query(query: bytes) -> bytes:
    """Return `query` with the values of credential parameters replaced by `***`, for logs."""
    return b"&".join(map(_redact_parameter, query.split(b"&")))


def _redact_parameter(piece: bytes) -> bytes:
    name, separator, _ = piece.partition(b"=")
    if separator and decode_component(name).strip().lower() in _REDACTED:
        return name + b"=***"
    return piece
