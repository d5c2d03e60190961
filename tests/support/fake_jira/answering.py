"""From a request to Jira's answer: judge the login, find the resource, add the headers that every Jira adds."""

import gzip
from typing import TYPE_CHECKING

from tests.support.fake_jira import (
    agile,
    attachments,
    comments,
    create_metadata,
    generic,
    instance,
    issue_parts,
    issues,
    people_resources,
    searching,
    webhook_resources,
    worklogs,
)
from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.people import Login, session_of
from tests.support.fake_jira.profiles import fixture
from tests.support.fake_jira.routing import JiraError, Routes, Situation

if TYPE_CHECKING:
    from tests.support.fake_jira.server import FakeJira

ROUTES = Routes()
for _module in (
    generic, instance, people_resources, create_metadata, issues, issue_parts, comments, worklogs, attachments,
    searching, webhook_resources, agile,
):  # fmt: skip
    ROUTES.include(_module.routes)


async def answer_of(jira: "FakeJira", request: Request, mapped: str) -> Answer:
    if jira.context and mapped != jira.context and not mapped.startswith(jira.context + "/"):
        return Answer.text("<!doctype html><title>HTTP Status 404</title><h1>Not Found</h1>", 404)
    request.path = mapped.removeprefix(jira.context) or "/"
    request.record.mapped_path = request.path
    login = jira.people.judge(request.header("Authorization"), request.header("Cookie"))
    request.user = login.user
    request.record.user = login.user.name if login.user else None
    if login.refusal is not None:
        answer = situation(jira, login.refusal)
        return _finish(jira, request, login, answer)
    try:
        answer = await _dispatch(jira, request)
    except JiraError as error:
        answer = error.answer
    except Situation as error:
        answer = situation(jira, error.name)
    return _finish(jira, request, login, answer)


async def _dispatch(jira: "FakeJira", request: Request) -> Answer:
    path = request.path.replace("/rest/api/latest/", "/rest/api/2/", 1).replace(
        "/rest/auth/latest/", "/rest/auth/1/", 1
    )
    if path.startswith("/rest/api/3/") and jira.profile.is_cloud:
        request.api_version = "3"
        path = "/rest/api/2/" + path.removeprefix("/rest/api/3/")
    if len(path) > 1 and path.startswith("/rest/"):
        path = path.rstrip("/")
    found = ROUTES.find(request.method, path)
    if found is None:
        return _no_resource(jira, request, path)
    route, arguments = found
    if _is_cross_site(jira, request, path):
        raise Situation("xsrf-missing-token")
    if request.user is None and not route.anonymous:
        raise Situation("anonymous-needs-login")
    return await route.resource(jira, request, **arguments)


def _is_cross_site(jira: "FakeJira", request: Request, path: str) -> bool:
    """Jira's XSRF filter on a POST (docs/facts.md J8.1): form types need the token, browsers the right origin."""
    if request.method != "POST" or not path.startswith("/rest/") or path.startswith("/rest/api/2/test/"):
        return False
    kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    token = (request.header("X-Atlassian-Token") or "").lower()
    if kind in {"application/x-www-form-urlencoded", "text/plain"} and token not in {"no-check", "nocheck"}:
        return True
    if not (request.header("User-Agent") or "").startswith(("Mozilla", "Opera")):
        return False
    source = request.header("Origin") or request.header("Referer") or ""
    return "/".join(source.split("/")[:3]) not in {jira.origin, "/".join(jira.base_url.split("/")[:3])}


def _no_resource(jira: "FakeJira", request: Request, path: str) -> Answer:
    allowed = ROUTES.methods_of(path)
    if not allowed:
        return jira.not_found(request)
    if request.method == "OPTIONS":
        return Answer.empty(200, [("Allow", ",".join(["HEAD", "OPTIONS", *allowed]))])
    return Answer.empty(405, [("Allow", ",".join(allowed))])


def _finish(jira: "FakeJira", request: Request, login: Login, answer: Answer) -> Answer:
    if answer.plain:
        return answer
    present = {name.lower() for name, _ in answer.headers}
    answer.headers = [
        pair for pair in _own_headers(jira, request, login) if pair[0].lower() not in present
    ] + answer.headers
    if (
        jira.gzip
        and isinstance(answer.body, bytes)
        and answer.body
        and "gzip" in (request.header("Accept-Encoding") or "")
    ):
        answer.body = gzip.compress(answer.body, 6, mtime=0)
        answer.length = None
        answer.headers.append(("Content-Encoding", "gzip"))
    return answer


def _own_headers(jira: "FakeJira", request: Request, login: Login) -> list[tuple[str, str]]:
    """What every Jira puts on its answers (fixtures/response-headers.json)."""
    headers = [("X-AREQUESTID", f"554x{next(jira.request_numbers)}x1")]
    if jira.profile.cluster_node:
        headers.append(("X-ANODEID", jira.profile.cluster_node))
    headers.append(("X-ASEN", "SEN-0000000"))
    if login.reason:
        headers.append(("X-Seraph-LoginReason", login.reason))
    if login.user is not None and login.session is None:
        value = jira.people.open_session(login.user)
        headers += [("X-ASESSIONID", value[:7].lower()), jira.session_cookie(value)]
    if session_of(request.header("Cookie")) is None:
        state = "lin" if login.user else "lout"
        token = "BKEX-0WD1-ZZ9A-TEST_0123456789abcdef0123456789abcdef01234567"
        headers.append(("Set-Cookie", f"atlassian.xsrf.token={token}_{state}; Path={jira.context or '/'}"))
    headers += [
        ("X-AUSERNAME", login.user.name if login.user else "anonymous"),
        ("X-XSS-Protection", "1; mode=block"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Content-Security-Policy", "frame-ancestors 'self'"),
        ("Cache-Control", "no-cache, no-store, no-transform"),
        ("Vary", "User-Agent"),
    ]
    if jira.rate_limit is not None and login.user is not None:
        headers += jira.rate_limit.items()
    return headers


def situation(jira: "FakeJira", name: str) -> Answer:
    """An entry of fixtures/errors.json as an answer."""
    entry = fixture("errors", jira.base_url)[name]
    headers = list(entry["headers"].items())
    if isinstance(entry["body"], str):
        body = entry["body"].encode()
        return Answer(entry["status"], headers, body, len(body))
    kept = [(key, value) for key, value in headers if key != "Content-Type"]
    return Answer.json(entry["body"], entry["status"], kept)
