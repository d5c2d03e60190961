"""An installation with events: a Jira, a gateway, an agent that receives webhooks, and subscribers, for tests from outside.

with event_site(folder) as site:
    subscriber = site.subscribe("all", "jira:issue_created")
    site.jira.call("add_issue", summary="x")
    subscriber.wait_for(1)
"""

import asyncio
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.fake_jira import JiraProcess
from tests.support.ports import free_port
from tests.support.stack import Agent, Stack, wait_until
from tests.support.subscriber import Received, Subscriber

ADMINISTRATOR = {"JIRA_AGENT_JIRA_USERNAME": "admin", "JIRA_AGENT_JIRA_PASSWORD": "password-of-admin"}
LOOPBACK = {"JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.0/8"}
MADE = "jira:issue_created,jira:issue_updated,comment_created,comment_updated,worklog_created,worklog_updated"


class LiveSubscriber:
    """A `Subscriber` in a loop and thread of its own, read from the test's thread."""

    def __init__(self, **options: Any) -> None:
        self.subscriber = Subscriber(**options)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "LiveSubscriber":
        """Listen; returns when it does."""
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def received(self) -> list[Received]:
        """Everything that came so far."""
        return list(self.subscriber.received)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The envelopes that came so far."""
        return [one.document for one in self.received]

    def wait_for(self, count: int, seconds: float = 20.0) -> list[dict[str, Any]]:
        """Wait until so many came, and return them; raises TimeoutError."""
        wait_until(lambda: len(self.subscriber.received) >= count, f"{count} events arrive", seconds)
        return self.events

    def wait_for_ids(self, wanted: set[str], seconds: float) -> set[str]:
        """Wait until all of these ids came, or the time is up; return those that are missing."""
        try:
            wait_until(lambda: wanted <= set(self.subscriber.ids), "every event arrives", seconds)
        except TimeoutError:
            return wanted - set(self.subscriber.ids)
        return set()

    @property
    def twice(self) -> int:
        """How many requests came with an id that had come before."""
        return sum(count - 1 for count in Counter(self.subscriber.ids).values())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with self.subscriber:
            self._ready.set()
            await self._stop.wait()


@dataclass
class EventSite:
    """What runs, and what tests do with it."""

    jira: JiraProcess
    stack: Stack
    agent: Agent
    token: str
    webhook_port: int
    subscribers: list[LiveSubscriber] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def subscribe(self, name: str, events: str = MADE, *flags: str, kind: str | None = "registered", **options: Any) -> LiveSubscriber:  # fmt: skip
        """Start a subscriber and make a trigger that delivers to it; `kind` is what has to come out, None for any."""
        subscriber = LiveSubscriber(**options).start()
        self.subscribers.append(subscriber)
        made = self.add_trigger(name, events, "--deliver-to", subscriber.subscriber.url, *flags)
        self.secrets[name] = made["secret"]
        assert kind is None or made["kind"] == kind, made
        return subscriber

    def add_trigger(self, name: str, events: str, *flags: str) -> dict[str, Any]:
        """Make a trigger of the connection `hq` and return what the command says."""
        words = ("triggers", "add", "--connection", "hq", "--name", name, "--events", events, *flags, "--json")
        made: dict[str, Any] = json.loads(self.stack.must(*words))
        return made

    def show(self, name: str) -> dict[str, Any]:
        """Return what `triggers show` says."""
        shown: dict[str, Any] = json.loads(self.stack.must("triggers", "show", name, "--json"))
        return shown

    def message_id(self, occurrence: str, trigger: str) -> str:
        """Return the id with which an occurrence is delivered to a trigger (docs/events.md)."""
        number = next(row["id"] for row in self.triggers() if row["name"] == trigger)
        return f"evt_{sha256(f'hq/{occurrence}'.encode()).hexdigest()[:24]}_{number}"

    def triggers(self) -> list[dict[str, Any]]:
        """Return the triggers with their numbers, from the database."""
        path = f"file:{self.stack.folder}/gateway/gateway.db?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as database:
            return [{"id": row[0], "name": row[1]} for row in database.execute("SELECT id, name FROM triggers")]


@contextmanager
def event_site(
    folder: Path,
    profile: str = "9.12",
    *,
    agent_settings: Mapping[str, str] | None = None,
    gateway_settings: Mapping[str, str] | None = None,
    login: Mapping[str, str] = ADMINISTRATOR,
    log_level: str = "info",
) -> Iterator[EventSite]:
    """Run everything for as long as the block; the agent receives webhooks and may register them."""
    with (
        JiraProcess(profile, context="/jira") as jira,
        Stack(folder, jira.url, settings={**LOOPBACK, **(gateway_settings or {})}, log_level=log_level) as stack,
    ):
        stack.start_gateway()
        port = free_port()
        agent = stack.enroll(
            "headquarters",
            JIRA_AGENT_POLICY_PROFILE="full-rest,webhooks",
            JIRA_AGENT_WEBHOOK_LISTEN=f"127.0.0.1:{port}",
            JIRA_AGENT_WEBHOOK_TARGETS=f"http://127.0.0.1:{port}/hooks/,{stack.url}/hooks/",
            **login,
            **(agent_settings or {}),
        )
        agent.start_and_wait()
        site = EventSite(jira, stack, agent, stack.connect("hq", via="headquarters"), port)
        try:
            yield site
        finally:
            for subscriber in site.subscribers:
                subscriber.stop()
