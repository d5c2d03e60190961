"""Jira's answer on its way to the caller: which headers pass, and whether links in it are rewritten.

What a link is, and where it may be touched, is jira_api's knowledge. What a connection's answers have in common
(where its links lead, the compiled rewriter) is a `Face`, made once per announcement of its agent and kept beside
the link that carries the answer.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from gateway.admission import Admission
from gateway.registry import Registry, Way
from gateway.store import Credentials
from jira_api.gzip_bodies import GzipBodyRewriter
from jira_api.headers import rewrite_set_cookie
from jira_api.links import BodyRewriter, LinkRewriter
from jira_api.logins import BY_SLUG
from jira_api.rewriting import AnswerPlan, accept_encoding, plan_answer, should_rewrite, strong_if_match
from tunnel.heads import STREAMED, Pairs, ResponseHead

MAX_DIGITS = 16
_LOGINS = frozenset(slug.encode() for slug in BY_SLUG)


class Answered(Protocol):
    """What the rules need to know of the request, and of the link that brought its answer."""

    admission: Admission
    request_id: str
    started_at: float
    answered_at: float
    link: Way | None


@dataclass(slots=True)
class Answer:
    """How an answer goes out: its headers, how its body is framed, and what rewrites the body."""

    headers: Pairs
    body: int
    links: BodyRewriter | GzipBodyRewriter | None


@dataclass(frozen=True, slots=True)
class Face:
    """What stands for one Jira at our address: the prefix for its base URL, as a whole and as a path."""

    prefix: bytes
    path: bytes
    context_path: bytes
    rewriter: LinkRewriter | None


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

    def __repr__(self) -> str:
        return f"<AnswerRules {self._public_url!r} {self._domain!r}>"

    def request_headers(self, admission: Admission) -> Pairs:
        """Return the headers that go with the request: an answer whose links are rewritten must be readable."""
        if not admission.route.rewrite_links:
            return admission.headers
        return [_readable(pair) for pair in admission.headers]

    def begin(self, request: Answered, head: ResponseHead) -> Answer:
        """Decide how this answer goes to the caller."""
        admission, route = request.admission, request.admission.route
        has_callers_login = route.credentials is Credentials.CALLER
        names = tuple([pair[0] for pair in head.headers])
        plan = plan_answer(names, caller_credentials=has_callers_login)
        headers = plan.select(head.headers)
        face = self._face(admission, request.link)
        if plan.cookies:
            _adjust_cookies(headers, plan, face)
        body, links = head.body, None
        rewriter = face.rewriter if route.rewrite_links else None
        if rewriter is not None:
            for index in plan.locations:
                headers[index] = (headers[index][0], rewriter.rewrite_location(headers[index][1]))
            if plan.content_type is not None:
                path, coding = admission.target.path, plan.content_coding(headers)
                if should_rewrite(head.status, headers[plan.content_type][1], coding, path):
                    links = rewriter.stream(coding, path)
                    headers = plan.for_rewritten_body(headers)
                    body = STREAMED if body > 0 else body
        headers.append((b"X-Request-ID", request.request_id.encode()))
        headers.append((b"Server-Timing", _server_timing(request, head)))
        login = head.meta.get(b"jira-login")
        if login in _LOGINS:
            headers.append((b"Tunnel-Jira-Login", login))
        return Answer(headers, body, links)

    def context_path(self, agent: str) -> bytes:
        """Return the context path of an agent's Jira as it announced it, b"" while it is offline."""
        return self._registry.settings(agent).get(b"context-path", b"")

    def _face(self, admission: Admission, link: Way | None) -> Face:
        key = (admission.route.name, admission.by_host)
        face = link.faces.get(key) if link is not None else None
        if face is None:
            face = self._make_face(admission, {} if link is None else link.settings)
            if link is not None:
                link.faces[key] = face
        return face

    def _make_face(self, admission: Admission, settings: dict[bytes, bytes]) -> Face:
        name, context_path = admission.route.name.encode(), settings.get(b"context-path", b"")
        if admission.by_host:
            path = context_path
            prefix = b"%b://%b.%b%b%b" % (self._scheme, name, self._domain, self._port, path)
        else:
            path = b"/jira/" + name
            prefix = self._public_url + path
        origins = [settings[key] for key in (b"jira-url", b"jira-base-url") if settings.get(key)]
        return Face(prefix, path, context_path, LinkRewriter(origins, prefix) if origins else None)


def _adjust_cookies(headers: Pairs, plan: AnswerPlan, face: Face) -> None:
    for index in plan.cookies:
        name, value = headers[index]
        headers[index] = (name, rewrite_set_cookie(value, face.context_path, face.path))


def _readable(pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Ask Jira only for what can be rewritten, with the entity tags as Jira gave them."""
    match pair[0].lower():
        case b"accept-encoding":
            return pair[0], accept_encoding(pair[1])
        case b"if-match":
            return pair[0], strong_if_match(pair[1])
    return pair


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
