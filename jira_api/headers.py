"""Which headers travel to Jira and back.

Towards Jira an allow-list decides, so that identity headers (Remote-User, X-Forwarded-*), browser headers (Origin,
Referer, Sec-*, User-Agent: Jira's XSRF check trusts them) and whatever comes next never pass. From Jira
everything passes except what belongs to one hop or would forge our own headers. Hop-by-hop and framing headers are
http1's business and do not appear in these lists at all; they are refused here again because a refusal is free.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

Headers = list[tuple[bytes, bytes]]

_TO_JIRA = frozenset({
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"pragma",
    b"content-type", b"content-encoding", b"content-language", b"content-disposition", b"content-md5",
    b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range",
    b"x-atlassian-token", b"x-experimentalapi", b"x-force-accept-language", b"prefer",
    b"traceparent", b"tracestate",
})  # fmt: skip
_TO_JIRA_WITH_CALLERS_LOGIN = _TO_JIRA | {b"authorization", b"cookie"}

_NOT_FROM_JIRA = frozenset({
    # one hop
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authentication-info", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"content-length", b"alt-svc",
    # ours
    b"x-request-id", b"server-timing", b"tunnel-error", b"tunnel-source", b"tunnel-processed", b"tunnel-authorization",
    b"tunnel-timeout",
})  # fmt: skip
_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})
_NOT_FROM_JIRA_NOR_COOKIES = _NOT_FROM_JIRA | _COOKIES
_OURS = b"tunnel-"
_MAX_SORTINGS = 128  # of up to 64 KiB each, when a server makes up names

_OAUTH1_HEADER = re.compile(rb"\s*oauth(?:\s|\Z)", re.IGNORECASE)
_OAUTH1_QUERY = re.compile(rb"(?:\A|&)oauth_signature=")


def request_headers(headers: Iterable[tuple[bytes, bytes]], *, caller_credentials: bool) -> Headers:
    """Return the headers of a caller's request that Jira may see, in order and with repeats.

    Authorization and Cookie pass only when the connection uses the caller's own credentials.
    """
    allowed = _TO_JIRA_WITH_CALLERS_LOGIN if caller_credentials else _TO_JIRA
    return [header for header in headers if header[0].lower() in allowed]


def response_headers(headers: Iterable[tuple[bytes, bytes]], *, caller_credentials: bool) -> Headers:
    """Return the headers of Jira's answer that a caller may see, in order and with repeats.

    Set-Cookie passes only with the caller's own credentials (then see `rewrite_set_cookie`).
    """
    refused = _NOT_FROM_JIRA if caller_credentials else _NOT_FROM_JIRA_NOR_COOKIES
    return [header for header in headers if (name := header[0].lower()) not in refused and not name.startswith(_OURS)]


def passing(headers: Headers, *, caller_credentials: bool) -> Headers:
    """Return what `response_headers` does, decided once for all answers with the same names in the same order."""
    kept = _passing(tuple([header[0] for header in headers]), caller_credentials)
    return headers if kept is None else [headers[index] for index in kept]


@lru_cache(maxsize=_MAX_SORTINGS)
def _passing(names: tuple[bytes, ...], caller_credentials: bool) -> tuple[int, ...] | None:  # noqa: FBT001 - a key
    numbered = [(name, b"%d" % index) for index, name in enumerate(names)]
    kept = tuple(int(index) for _, index in response_headers(numbered, caller_credentials=caller_credentials))
    return None if len(kept) == len(names) else kept


def is_oauth1(authorization: bytes | None, query: bytes) -> bool:
    """Tell whether the request is signed with OAuth 1.0a: its signature covers a URL that we change."""
    if authorization is not None and _OAUTH1_HEADER.match(authorization):
        return True
    return _OAUTH1_QUERY.search(query) is not None


def rewrite_set_cookie(value: bytes, context_path: bytes, public_prefix: bytes) -> bytes:
    """Return a Set-Cookie value that works at our address.

    Domain is removed (the cookie is the host's that the caller talked to) and a Path inside Jira's `context_path` moves
    under `public_prefix`, both without a trailing slash and "" for the root. A Path outside of it is left out, so that
    the caller's client falls back to the request's own directory. Everything else stays byte for byte.
    """
    pair, *attributes = value.split(b";")
    kept = [pair]
    for attribute in attributes:
        name, separator, argument = attribute.partition(b"=")
        match name.strip().lower():
            case b"domain":
                continue
            case b"path" if separator:
                path = _public_path(argument.strip(), context_path, public_prefix)
                if path is not None:
                    kept.append(name + b"=" + path)
            case _:
                kept.append(attribute)
    return b";".join(kept)


def _public_path(path: bytes, context_path: bytes, public_prefix: bytes) -> bytes | None:
    if path == context_path or path.startswith(context_path + b"/"):
        return public_prefix + path[len(context_path) :] or b"/"
    if path == b"/":  # wider than Jira itself: as wide as Jira here
        return public_prefix or b"/"
    return None
