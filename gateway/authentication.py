"""Which gateway token a request presents, and what becomes of its Authorization (docs/contract.md §3.2). Pure."""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

from gateway.tokens import hash_token

TOKEN_PREFIX = b"jtg_"

Headers = list[tuple[bytes, bytes]]


class AmbiguousLogin(Exception):
    """A header of ours or a login is repeated: which one counts would be a guess. `name` says which."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.name = name.decode("latin-1")


@dataclass(slots=True)
class CallerHeaders:
    """A request's headers, sorted once: what is for us and what may go on towards Jira.

    `passed` holds everything but Authorization, Tunnel-* and X-Request-ID, in order. `values` holds those of
    Authorization and Tunnel-* by lower-case name. Requests that repeat their field lines share one of these
    (http1.known_fields): `passport` is what gateway.admission made of it last.
    """

    passed: Headers = field(default_factory=list)
    values: dict[bytes, bytes] = field(default_factory=dict)
    passport: Any = None
    _token_hash: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def authorization(self) -> bytes | None:
        """The Authorization header as received."""
        return self.values.get(b"authorization")

    @property
    def presented_token(self) -> bytes:
        """The gateway token as presented, b"" when there is none; Tunnel-Authorization goes first."""
        separate = self.values.get(b"tunnel-authorization")
        return _token(self.values.get(b"authorization") if separate is None else separate)

    @property
    def token_hash(self) -> str:
        """The key of the presented token in the directory, "" when there is none."""
        if self._token_hash is None:
            presented = self.presented_token
            self._token_hash = hash_token(presented) if presented else ""
        return self._token_hash

    @property
    def authorization_holds_token(self) -> bool:
        """Whether Authorization holds a gateway token anywhere, and so must never be forwarded."""
        value = self.values.get(b"authorization")
        if value is None:
            return False
        return TOKEN_PREFIX in value or TOKEN_PREFIX in _basic(value.partition(b" ")[2])


def sort_headers(headers: Headers) -> CallerHeaders:
    """Sort the headers of a request; raises `AmbiguousLogin`."""
    sorted_headers = CallerHeaders()
    passed, values = sorted_headers.passed, sorted_headers.values
    for pair in headers:
        name = pair[0].lower()
        if name == b"authorization" or name.startswith(b"tunnel-"):
            if name in values:
                raise AmbiguousLogin(pair[0])
            values[name] = pair[1]
        elif name != b"x-request-id":
            passed.append(pair)
    return sorted_headers


def _token(value: bytes | None) -> bytes:
    """Return the bearer token, or the password of Basic (RFC 7617), b"" for anything else."""
    if value is None:
        return b""
    scheme, _, credentials = value.partition(b" ")
    scheme = scheme.lower()
    if scheme == b"bearer":
        return credentials.strip()
    if scheme == b"basic":
        return _basic(credentials).partition(b":")[2]
    return b""


def _basic(credentials: bytes) -> bytes:
    try:
        return b64decode(credentials.strip(), validate=True)
    except binascii.Error:
        return b""
