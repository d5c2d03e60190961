"""Jira's answer on its way to the caller: which headers pass, and whether links in it are rewritten.

Owns the link rewriters, one per connection and way of addressing, because building one compiles patterns.
What a link is, and where it may be touched, is jira_api's knowledge.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from gateway.admission import Admission
from gateway.registry import Registry
from gateway.store import Credentials
from jira_api.gzip_bodies import GzipBodyRewriter
from jira_api.headers import response_headers, rewrite_set_cookie
from jira_api.links import BodyRewriter, LinkRewriter
from jira_api.rewriting import accept_encoding, content_coding, rewritten_headers, should_rewrite, strong_if_match
from tunnel.heads import STREAMED, Pairs, ResponseHead

MAX_REWRITERS = 4096
MAX_DIGITS = 16


class Answered(Protocol):
    """What the rules need to know of the request."""

    admission: Admission
    request_id: str
    started_at: float
    answered_at: float


@dataclass(slots=True)
class Answer:
    """How an answer goes out: its headers, how its body is framed, and what rewrites the body."""

    headers: Pairs
    body: int
    links: BodyRewriter | GzipBodyRewriter | None


class AnswerRules:
    """Shapes the answers of all connections. `public_url` has no trailing slash; `domain` may be b""."""

    def __init__(self, registry: Registry, public_url: bytes, domain: bytes) -> None:
        self._registry = registry
        self._public_url = public_url
        scheme, _, authority = public_url.partition(b"://")
        host, colon, port = authority.rpartition(b":")
        self._scheme = scheme
        self._port = colon + port if host and port.isdigit() else b""
        self._domain = domain
        self._rewriters: dict[tuple[bytes, ...], LinkRewriter] = {}

    def request_headers(self, admission: Admission) -> Pairs:
        """Return the headers that go with the request: an answer whose links are rewritten must be readable."""
        if not admission.route.rewrite_links:
            return admission.headers
        return [_readable(pair) for pair in admission.headers]

    def begin(self, request: Answered, head: ResponseHead) -> Answer:
        """Decide how this answer goes to the caller."""
        admission = request.admission
        route = admission.route
        passes_cookies = route.credentials is Credentials.CALLER
        headers = response_headers(head.headers, caller_credentials=passes_cookies)
        body, links = head.body, None
        if route.rewrite_links:
            settings = self._registry.settings(route.agent or "")
            prefix = self._prefix(admission, settings)
            rewriter = self._rewriter(settings, prefix)
            if rewriter is not None:
                headers = [_location(rewriter, pair) for pair in headers]
                if should_rewrite(head.status, headers, admission.target.path):
                    links = rewriter.stream(content_coding(headers), admission.target.path)
                    headers = rewritten_headers(headers)
                    body = STREAMED if body > 0 else body
            if passes_cookies:
                headers = [_cookie(pair, settings.get(b"context-path", b""), prefix) for pair in headers]
        headers.append((b"X-Request-ID", request.request_id.encode()))
        headers.append((b"Server-Timing", _server_timing(request, head)))
        return Answer(headers, body, links)

    def context_path(self, agent: str) -> bytes:
        """Return the context path of an agent's Jira as it announced it, b"" while it is offline."""
        return self._registry.settings(agent).get(b"context-path", b"")

    def _prefix(self, admission: Admission, settings: dict[bytes, bytes]) -> bytes:
        """Return what stands for Jira's base URL at our address."""
        name = admission.route.name.encode()
        if not admission.by_host:
            return b"%b/jira/%b" % (self._public_url, name)
        context_path = settings.get(b"context-path", b"")
        return b"%b://%b.%b%b%b" % (self._scheme, name, self._domain, self._port, context_path)

    def _rewriter(self, settings: dict[bytes, bytes], prefix: bytes) -> LinkRewriter | None:
        origins = tuple(settings[key] for key in (b"jira-url", b"jira-base-url") if settings.get(key))
        if not origins:
            return None
        key = (prefix, *origins)
        rewriter = self._rewriters.get(key)
        if rewriter is None:
            if len(self._rewriters) >= MAX_REWRITERS:
                self._rewriters.clear()
            rewriter = self._rewriters[key] = LinkRewriter(origins, prefix)
        return rewriter


def _readable(pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Ask Jira only for what can be rewritten, with the entity tags as Jira gave them."""
    match pair[0].lower():
        case b"accept-encoding":
            return pair[0], accept_encoding(pair[1])
        case b"if-match":
            return pair[0], strong_if_match(pair[1])
    return pair


def _location(rewriter: LinkRewriter, pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name = pair[0].lower()
    if name in {b"location", b"content-location"}:
        return pair[0], rewriter.rewrite_location(pair[1])
    return pair


def _cookie(pair: tuple[bytes, bytes], context_path: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    if pair[0].lower() != b"set-cookie":
        return pair
    _, _, rest = prefix.partition(b"://")
    _, slash, path = rest.partition(b"/")
    return pair[0], rewrite_set_cookie(pair[1], context_path, slash + path)


def _server_timing(request: Answered, head: ResponseHead) -> bytes:
    """Say where the time went, in milliseconds: the whole wait for Jira's head, and Jira's own part of it."""
    total = (request.answered_at - request.started_at) * 1000
    microseconds = head.meta.get(b"jira-us", b"0")
    jira = int(microseconds) / 1000 if microseconds.isdigit() and len(microseconds) < MAX_DIGITS else 0.0
    return b"gateway;dur=%.2f, tunnel;dur=%.2f, jira;dur=%.2f" % (
        (perf_counter() - request.answered_at) * 1000,
        max(total - jira, 0),
        jira,
    )
