"""The stand-in Jira: listens, records, judges logins, finds the resource, answers, misbehaves when told to.

    async with FakeJira(profile="9.12", context="/jira") as jira:
        ...  # an agent is configured with jira.url; jira.requests is what arrived

Everything is in memory and belongs to one event loop.
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from tests.support.fake_jira import misbehaviour as faults
from tests.support.fake_jira.agile import first_sprints
from tests.support.fake_jira.changes import Changes
from tests.support.fake_jira.delivering import Webhook
from tests.support.fake_jira.event_bodies import Event
from tests.support.fake_jira.exchange import Answer, Request
from tests.support.fake_jira.people import People, User
from tests.support.fake_jira.profiles import load_profile
from tests.support.fake_jira.recording import RecordedRequest
from tests.support.fake_jira.seed import seed_people, seed_store
from tests.support.fake_jira.serving import serve
from tests.support.fake_jira.store import Change, Comment, Issue, Store, Worklog
from tests.support.fake_jira.storm import MIX, Order, Storm
from tests.support.fake_jira.views import Views, milliseconds
from tests.support.fake_jira.webhooks import Webhooks
from tests.support.fake_jira.wire import WireConnection

HEAD_LIMIT = 8192  # Tomcat's maxHttpHeaderSize


class FakeJira(Changes):
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
        self.recording = True  # off: long measurements do not fill the memory
        self.attachments_enabled = True
        self.upload_limit = 10 * 1024 * 1024 * 1024
        self.pat_on_servlets = True  # 8.14.1 answered 302 to a PAT on /secure/attachment
        self.rate_limit: dict[str, str] | None = None  # headers of limited users' healthy answers
        self.people = People(cloud=self.profile.is_cloud, pat=self.profile.pat)
        self.store = Store(clock)
        self.webhooks = Webhooks(self)
        self.sprints = first_sprints()
        self.storms: list[Storm] = []
        self.requests: list[RecordedRequest] = []
        self.crashes: list[Exception] = []  # bugs of the stand-in itself
        self.connections = 0  # accepted so far
        self._configured_base_url = base_url
        self.rules: list[faults.Rule] = []
        self.in_progress: set[RecordedRequest] = set()
        self.open: set[WireConnection] = set()
        self.request_numbers = itertools.count(1)
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
    def media_url(self) -> str:
        """Where Cloud's signed media links lead: another origin than Jira's own, as api.media.atlassian.com is."""
        return self.origin.replace("127.0.0.1", "localhost") + self.context

    @property
    def clock_offset(self) -> float:
        """Seconds by which Jira's clock is ahead of the machine's (negative: behind)."""
        return self.store.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self.store.clock_offset = seconds

    @property
    def time_zone(self) -> str:
        """Jira's own, in which it writes moments; accounts have their own (`users[name].time_zone`)."""
        return self.views.zone.key

    @time_zone.setter
    def time_zone(self, name: str) -> None:
        self.views.zone = ZoneInfo(name)

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
        connections = list(self.open)
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
        return len(self.in_progress)

    def _accept(self, connection: WireConnection) -> None:
        self.connections += 1
        connection.id = self.connections
        self.open.add(connection)
        self._start(serve(self, connection))

    @property
    def open_connections(self) -> int:
        """Sockets that are open now."""
        return len(self.open)

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
        rule = faults.Rule(prefix, fault, times, method, header, rules=self.rules)
        self.rules.append(rule)
        return rule

    def behave(self) -> None:
        """Forget every fault."""
        self.rules.clear()

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

    def emit(
        self,
        event: str,
        user: User | None,
        *,
        issue: Issue | None = None,
        comment: Comment | None = None,
        worklog: Worklog | None = None,
        change: Change | None = None,
        event_type: str | None = None,
        payload: dict[str, Any] | None = None,
    ) -> None:
        """Publish an event to the webhooks; `payload` replaces the body made from the records."""
        self.webhooks.publish(Event(event, user, issue, comment, worklog, change, event_type, payload))

    def change_webhook(self, number: int, **attributes: Any) -> Webhook:
        """Tamper with a registration; attributes as of delivering.Webhook, such as `enabled`, `events`, `jql`."""
        webhook = self.webhooks.registered[number]
        for name, value in attributes.items():
            if not hasattr(webhook, name):
                raise KeyError(name)
            setattr(webhook, name, value)
        webhook.updated_ms = milliseconds(self.store.now())
        return webhook

    def remove_webhook(self, number: int) -> None:
        """Raises KeyError."""
        del self.webhooks.registered[number]

    def storm(
        self,
        count: int,
        rate: float,
        kinds: Sequence[str] = MIX,
        *,
        project: str = "OPS",
        issues: Sequence[str] = (),
    ) -> Storm:
        """Begin to make `count` changes, `rate` a second, of these kinds in turn (storm.KINDS); returns at once."""
        storm = Storm(self, Order(count, rate, tuple(kinds), project, tuple(issues)))
        self.storms.append(storm)
        self._start(storm.run())
        return storm

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

    def session_cookie(self, value: str) -> tuple[str, str]:
        """A Set-Cookie header with Tomcat's attributes."""
        secure = "; Secure" if self.tls else ""
        return ("Set-Cookie", f"JSESSIONID={value}; Path={self.context or '/'}{secure}; HttpOnly")
