"""The stand-in Jira: listens, records, judges logins, finds the resource, answers, misbehaves when told to.

    async with FakeJira(profile="9.12", context="/jira") as jira:
        ...  # an agent is configured with jira.url; jira.requests is what arrived

Everything is in memory and belongs to one event loop.
"""

import asyncio
import gzip
import itertools
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from tests.support.fake_jira import agile, attachments, comments, generic, instance, issues, searching, webhooks
from tests.support.fake_jira import misbehaviour as faults
from tests.support.fake_jira.exchange import HTML_TYPE, JSON_TYPE, Answer, Distortion, Request
from tests.support.fake_jira.people import Login, People, User, session_of
from tests.support.fake_jira.profiles import fixture, load_profile
from tests.support.fake_jira.recording import RecordedRequest
from tests.support.fake_jira.routing import JiraError, Routes, Situation
from tests.support.fake_jira.seed import seed_people, seed_store
from tests.support.fake_jira.store import Comment, Content, Issue, Store
from tests.support.fake_jira.tomcat import BadRequest, map_target, parse_head
from tests.support.fake_jira.views import Views
from tests.support.fake_jira.webhooks import Webhooks, event_payload
from tests.support.fake_jira.wire import Disconnected, HeadTooLarge, WireConnection

HEAD_LIMIT = 8192  # Tomcat's maxHttpHeaderSize
ROUTES = Routes()
for _module in (generic, instance, issues, comments, attachments, searching, webhooks, agile):
    ROUTES.include(_module.routes)


class FakeJira:
    """One Jira on one port. All attributes may be changed while it runs."""

    def __init__(
        self,
        profile: str = "9.12",
        *,
        context: str = "",
        base_url: str | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        idle_timeout: float = 20.0,
        issues: int = 60,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """`base_url` is what Jira believes its address to be (links); default: where it listens.

        `idle_timeout` in seconds closes kept-alive connections, as Tomcat's keepAliveTimeout does.
        """
        self.profile = load_profile(profile)
        self.context = context.rstrip("/")
        self.tls = tls
        self.host = host
        self.port = port
        self.idle_timeout = idle_timeout
        self.head_limit = HEAD_LIMIT
        self.state = "RUNNING"
        self.gzip = False
        self.hash_bodies = True
        self.attachments_enabled = True
        self.upload_limit = 10 * 1024 * 1024 * 1024
        self.pat_on_servlets = True  # 8.14.1 answered 302 to a PAT on /secure/attachment
        self.rate_limit: dict[str, str] | None = None  # headers of limited users' healthy answers
        self.people = People(cloud=self.profile.is_cloud, pat=self.profile.pat)
        self.store = Store(clock)
        self.webhooks = Webhooks(self)
        self.sprints = agile.first_sprints()
        self.requests: list[RecordedRequest] = []
        self.connections = 0  # accepted so far
        self._configured_base_url = base_url
        self._rules: list[faults.Rule] = []
        self._active: set[RecordedRequest] = set()
        self._open: set[WireConnection] = set()
        self._request_numbers = itertools.count(1)
        self._group: asyncio.TaskGroup | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        seed_people(self.people)
        seed_store(self.store, self.people, issues)
        self.views = Views(self.profile, self.base_url, self.store)

    # -- addresses

    @property
    def origin(self) -> str:
        """Scheme, host and port that it listens on."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """What an agent is configured with: origin and context path."""
        return self.origin + self.context

    @property
    def base_url(self) -> str:
        """Jira's own idea of its address, used in links."""
        return self._configured_base_url or self.url

    @property
    def users(self) -> dict[str, User]:
        """Accounts by login name (seed.py lists them)."""
        return self.people.users

    # -- life

    async def __aenter__(self) -> Self:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._group = await asyncio.TaskGroup().__aenter__()
        self._server = await loop.create_server(
            lambda: WireConnection(self._accept), self.host, self.port, ssl=self.tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.views.base_url = self.base_url
        self._start(self.webhooks.run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop listening, drop all connections, end all tasks."""
        if self._server is not None:
            self._server.close()
        self.drop_connections()
        for task in list(self._tasks):
            task.cancel()
        if self._group is not None:
            await self._group.__aexit__(None, None, None)
        self.store.close()

    def _start(self, work: Any) -> asyncio.Task[None]:
        assert self._group is not None
        task: asyncio.Task[None] = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def drop_connections(self, *, reset: bool = True) -> int:
        """Close every connection at once, as a dying Jira does; returns how many."""
        connections = list(self._open)
        for connection in connections:
            if reset:
                connection.reset()
            else:
                connection.close()
        return len(connections)

    # -- what tests use

    @property
    def active(self) -> int:
        """Requests in progress whose client is still there."""
        return len(self._active)

    @property
    def open_connections(self) -> int:
        """Sockets that are open now."""
        return len(self._open)

    def misbehave(
        self,
        prefix: str,
        fault: faults.Fault,
        *,
        times: int | None = None,
        method: str | None = None,
        header: tuple[str, str] | None = None,
    ) -> faults.Rule:
        """Apply a fault to requests whose raw path, without the context path, begins with `prefix`.

        `times` limits how often, `method` and `header` (name, exact value) narrow it. The newest rule wins.
        """
        rule = faults.Rule(prefix, fault, times, method, header, rules=self._rules)
        self._rules.append(rule)
        return rule

    def behave(self) -> None:
        """Forget every fault."""
        self._rules.clear()

    def matching(
        self, path: str = "", *, method: str | None = None, marker: bytes | None = None
    ) -> list[RecordedRequest]:
        """Recorded requests by prefix of the mapped path, method, and bytes that the head or body contains."""
        return [
            record
            for record in list(self.requests)
            if (record.mapped_path or "").startswith(path)
            and method in {None, record.method}
            and (marker is None or marker in record.raw_head or marker in record.body)
        ]

    async def wait_for(self, predicate: Callable[["FakeJira"], object], timeout: float = 5.0) -> None:
        """Wait until the predicate is true. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while not predicate(self):
                await asyncio.sleep(0.005)

    def add_issue(
        self, summary: str = "An issue", *, project: str = "OPS", reporter: str = "ines.ferro", **fields: Any
    ) -> Issue:
        """As another user would: the event goes out to webhooks. `fields` as of store.Issue."""
        user = self.users[reporter]
        issue = self.store.add_issue(self.store.projects[project], summary, user, **fields)
        self.emit("jira:issue_created", user, issue=issue, event_type="issue_created")
        return issue

    def add_comment(self, issue: Issue, author: User, body: Any, visibility: dict[str, str] | None = None) -> Comment:
        """And both events that Jira sends for one comment."""
        comment = self.store.add_comment(issue, author, body, visibility)
        self.emit("comment_created", author, issue=issue, comment=comment)
        self.emit("jira:issue_updated", author, issue=issue, comment=comment, event_type="issue_commented")
        return comment

    def add_generated_attachment(self, issue_key: str, filename: str, size: int, author: str = "ines.ferro") -> Any:
        """A file of `size` bytes of the pattern that is stored nowhere."""
        issue = self.store.find_issue(issue_key)
        assert issue is not None, issue_key
        kind = "application/octet-stream"
        return self.store.add_attachment(issue, self.users[author], filename, Content.generated(size), kind)

    def emit(
        self,
        event: str,
        user: User | None,
        *,
        issue: Issue | None = None,
        comment: Comment | None = None,
        event_type: str | None = None,
        changelog: dict[str, Any] | None = None,
        payload: dict[str, Any] | None = None,
    ) -> None:
        """Publish an event to the webhooks; `payload` replaces the body made from issue and comment."""
        if not self.webhooks.registered:
            return
        if payload is None and issue is not None:
            payload = event_payload(self, event, user, issue, comment, event_type)
            if changelog is not None:
                payload["changelog"] = changelog
        self.webhooks.publish(event, user, payload or {}, issue)

    # -- answers that several resources share

    def page(self, status: int, title: str) -> Answer:
        """A small HTML error page."""
        html = (
            f"<!DOCTYPE html><html><head><title>{title} ({status})</title></head><body><h1>{title}</h1></body></html>"
        )
        return Answer.text(html, status)

    def not_found(self, request: Request) -> Answer:
        """Unknown paths: under /rest a redirect to the login page from 8 on, elsewhere Jira's dead link page."""
        if request.path.startswith("/rest/api/") and not self.profile.is_cloud and self.profile.major >= 9:
            return Answer.empty(302, [("Location", f"{self.base_url}/login.jsp")])
        return self.page(404, "Not Found")

    def situation(self, name: str) -> Answer:
        """An entry of fixtures/errors.json as an answer."""
        entry = fixture("errors", self.base_url)[name]
        headers = list(entry["headers"].items())
        if isinstance(entry["body"], str):
            body = entry["body"].encode()
            return Answer(entry["status"], headers, body, len(body))
        kept = [(key, value) for key, value in headers if key != "Content-Type"]
        return Answer.json(entry["body"], entry["status"], kept)

    def session_cookie(self, value: str) -> tuple[str, str]:
        """A Set-Cookie header with Tomcat's attributes."""
        secure = "; Secure" if self.tls else ""
        return ("Set-Cookie", f"JSESSIONID={value}; Path={self.context or '/'}{secure}; HttpOnly")

    # -- one connection

    def _accept(self, connection: WireConnection) -> None:
        self.connections += 1
        connection.id = self.connections
        self._open.add(connection)
        self._start(self._serve(connection))

    async def _serve(self, connection: WireConnection) -> None:
        try:
            while await self._serve_one(connection):
                pass
        except Disconnected:
            pass
        finally:
            self._open.discard(connection)
            connection.close()

    async def _serve_one(self, connection: WireConnection) -> bool:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.idle_timeout):
                raw = await connection.read_head(self.head_limit)
        except TimeoutError:
            return False
        except HeadTooLarge as error:
            record = RecordedRequest(connection.id, connection.peer, error.received, loop.time(), status=400)
            self.requests.append(record)
            answer = self.situation("header-too-large")
            await connection.write(_bare(answer))
            return False
        if raw is None:
            return False
        record = RecordedRequest(connection.id, connection.peer, raw, loop.time(), hash_body=self.hash_bodies)
        self.requests.append(record)
        self._active.add(record)
        connection.on_gone = _canceller(asyncio.current_task())
        try:
            return await self._exchange(connection, record)
        except (Disconnected, asyncio.CancelledError):
            if connection.gone and not record.answered:
                record.aborted = True
                record.aborted_at = loop.time()
            raise
        finally:
            connection.on_gone = _ignore
            record.ended_at = loop.time()
            self._active.discard(record)

    async def _exchange(self, connection: WireConnection, record: RecordedRequest) -> bool:
        try:
            head = parse_head(record.raw_head)
            record.method, record.target, record.headers = head.method, head.target, head.headers
            path, query = map_target(head.target)
        except BadRequest as error:
            record.status = error.status
            answer = Answer.text(
                f"<!doctype html><h1>HTTP Status {error.status}</h1><p>{error.reason}</p>", error.status
            )
            await connection.write(_bare(answer))
            record.answered = True
            return False
        request = Request(connection, head, record)
        request.raw_query = query
        fault = faults.choose(self._rules, record, self._raw_path(head.target))
        distortion = await self._before(request, fault)
        if distortion is None:
            return False
        answer = fault_answer(fault) or await self._answer(request, path)
        keep_alive = await request.send(answer, distortion if fault else None)
        keep_alive = keep_alive and await request.swallow()
        record.answered = True
        return keep_alive

    def _raw_path(self, target: bytes) -> str:
        path = target.partition(b"?")[0].decode("latin-1")
        return path.removeprefix(self.context)

    async def _before(self, request: Request, fault: faults.Fault | None) -> Distortion | None:
        """What a fault does before there is an answer; None: the exchange is over."""
        connection = request.connection
        match fault:
            case None:
                return Distortion()
            case faults.CloseAfterRequestHead(reset):
                return _hang_up(connection, reset=reset)
            case faults.CloseBeforeAnswer(reset):
                await request.swallow_all()
                return _hang_up(connection, reset=reset)
            case faults.Hang():
                await request.swallow_all()
                await asyncio.Event().wait()
            case faults.Slow(seconds):
                await request.preload()
                await asyncio.sleep(seconds)
            case faults.StallRead(after, seconds):
                await request.preload(after)
                await asyncio.sleep(seconds)
            case faults.RawAnswer(data, close, read_body):
                if read_body:
                    await request.swallow_all()
                await connection.write(data)
                if not close:
                    await asyncio.Event().wait()
                return None
            case faults.Status(read_body=True):
                await request.swallow_all()
            case faults.CutMidBody(after, reset):
                return Distortion(cut_after=after, reset=reset)
            case faults.StallBody(after):
                return Distortion(stall_after=after)
            case faults.DripBody(step, pause):
                return Distortion(drip=(step, pause))
            case faults.LieAboutLength(declared):
                return Distortion(declared_length=declared)
            case _:
                pass
        return Distortion()

    # -- one answer

    async def _answer(self, request: Request, mapped: str) -> Answer:
        if self.context and mapped != self.context and not mapped.startswith(self.context + "/"):
            return Answer.text("<!doctype html><title>HTTP Status 404</title><h1>Not Found</h1>", 404)
        request.path = mapped.removeprefix(self.context) or "/"
        request.record.mapped_path = request.path
        login = self.people.judge(request.header("Authorization"), request.header("Cookie"))
        request.user = login.user
        request.record.user = login.user.name if login.user else None
        if login.refusal is not None:
            answer = self.situation(login.refusal)
            return self._finish(request, login, answer)
        try:
            answer = await self._dispatch(request)
        except JiraError as error:
            answer = error.answer
        except Situation as situation:
            answer = self.situation(situation.name)
        return self._finish(request, login, answer)

    async def _dispatch(self, request: Request) -> Answer:
        path = request.path.replace("/rest/api/latest/", "/rest/api/2/", 1).replace(
            "/rest/auth/latest/", "/rest/auth/1/", 1
        )
        if path.startswith("/rest/api/3/") and self.profile.is_cloud:
            request.api_version = "3"
            path = "/rest/api/2/" + path.removeprefix("/rest/api/3/")
        if len(path) > 1 and path.startswith("/rest/"):
            path = path.rstrip("/")
        found = ROUTES.find(request.method, path)
        if found is None:
            return self._no_resource(request, path)
        route, arguments = found
        if request.user is None and not route.anonymous:
            raise Situation("anonymous-needs-login")
        return await route.resource(self, request, **arguments)

    def _no_resource(self, request: Request, path: str) -> Answer:
        allowed = ROUTES.methods_of(path)
        if not allowed:
            return self.not_found(request)
        if request.method == "OPTIONS":
            return Answer.empty(200, [("Allow", ",".join(["HEAD", "OPTIONS", *allowed]))])
        return Answer.empty(405, [("Allow", ",".join(allowed))])

    def _finish(self, request: Request, login: Login, answer: Answer) -> Answer:
        if answer.plain:
            return answer
        present = {name.lower() for name, _ in answer.headers}
        answer.headers = [
            pair for pair in self._own_headers(request, login) if pair[0].lower() not in present
        ] + answer.headers
        if (
            self.gzip
            and isinstance(answer.body, bytes)
            and answer.body
            and "gzip" in (request.header("Accept-Encoding") or "")
        ):
            answer.body = gzip.compress(answer.body, 6, mtime=0)
            answer.length = None
            answer.headers.append(("Content-Encoding", "gzip"))
        return answer

    def _own_headers(self, request: Request, login: Login) -> list[tuple[str, str]]:
        """What every Jira puts on its answers (fixtures/response-headers.json)."""
        headers = [("X-AREQUESTID", f"554x{next(self._request_numbers)}x1")]
        if self.profile.cluster_node:
            headers.append(("X-ANODEID", self.profile.cluster_node))
        headers.append(("X-ASEN", "SEN-0000000"))
        if login.reason:
            headers.append(("X-Seraph-LoginReason", login.reason))
        if login.user is not None and login.session is None:
            value = self.people.open_session(login.user)
            headers += [("X-ASESSIONID", value[:7].lower()), self.session_cookie(value)]
        if session_of(request.header("Cookie")) is None:
            state = "lin" if login.user else "lout"
            token = "BKEX-0WD1-ZZ9A-TEST_0123456789abcdef0123456789abcdef01234567"
            headers.append(("Set-Cookie", f"atlassian.xsrf.token={token}_{state}; Path={self.context or '/'}"))
        headers += [
            ("X-AUSERNAME", login.user.name if login.user else "anonymous"),
            ("X-XSS-Protection", "1; mode=block"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "SAMEORIGIN"),
            ("Content-Security-Policy", "frame-ancestors 'self'"),
            ("Cache-Control", "no-cache, no-store, no-transform"),
            ("Vary", "User-Agent"),
        ]
        if self.rate_limit is not None and login.user is not None:
            headers += self.rate_limit.items()
        return headers


def fault_answer(fault: faults.Fault | None) -> Answer | None:
    """The answer that a fault gives instead of Jira."""
    if not isinstance(fault, faults.Status):
        return None
    headers = list(fault.headers)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", JSON_TYPE if fault.body.startswith(("{", "[")) else HTML_TYPE))
    body = fault.body.encode()
    return Answer(fault.status, headers, body, len(body), close=not fault.read_body)


def _hang_up(connection: WireConnection, *, reset: bool) -> None:
    if reset:
        connection.reset()
    else:
        connection.close()


def _canceller(task: "asyncio.Task[Any] | None") -> Callable[[], None]:
    def cancel() -> None:
        if task is not None:
            task.cancel()

    return cancel


def _ignore() -> None:
    """Nobody is being served: the next read sees that the client is gone."""


def _bare(answer: Answer) -> bytes:
    """An answer of Tomcat itself, which then closes."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    head = f"HTTP/1.1 {answer.status} \r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body
