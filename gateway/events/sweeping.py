"""One sweep: what changed in one set of issues, found by search, told to the triggers that want it.

A sweep goes page by page (`step`), so that a long one lets others in, and each page is durable before the next is asked
for. What was offered lately is remembered, so that windows that overlap cost no writes.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.events.event_log import EventLog
from gateway.events.findings import Finding, Taker, findings
from gateway.events.jira_client import JiraClient, Server
from gateway.events.keeping import keep_events
from gateway.events.searching import Search, state_of
from gateway.store import NewEvent
from jira_api.events.sweeping import updated_since

MAX_OFFERED: Final = 50_000
MAX_HELD_BYTES: Final = 4 << 20
MAX_FRESH: Final = 100_000
"""How many new things one sweep remembers to tell of; more are stored all the same."""

OVERLAP: Final = timedelta(minutes=2)
"""How far a window reaches back into the one before: search indexes are behind, and clocks are not exact."""


class Rewriter(Protocol):
    """Who makes links lead to the gateway (gateway.events.links.Links)."""

    def rewritten(self, connection: str, body: bytes) -> bytes:
        """Return a body with its links rewritten."""


class Lately:
    """A set that forgets the oldest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._members: OrderedDict[Hashable, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Lately {len(self._members)}/{self._limit}>"

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def add(self, member: Hashable) -> None:
        """Remember; what is remembered again is the newest."""
        self._members[member] = None
        self._members.move_to_end(member)
        if len(self._members) > self._limit:
            self._members.popitem(last=False)


@dataclass(slots=True)
class Ground:
    """What sweeps of one connection share. `offered`: (trigger, occurrence) of what is durable already."""

    client: JiraClient
    log: EventLog
    links: Rewriter
    clock: Callable[[], datetime]
    offered: Lately = field(default_factory=lambda: Lately(MAX_OFFERED))


@dataclass(frozen=True, slots=True)
class Fresh:
    """Something found that these triggers had not got yet; `moment` is by Jira's clock."""

    occurrence: str
    moment: datetime
    triggers: frozenset[int]


class Sweep:
    """One sweep of the issues of `jql`; `known`: states of issues of which these takers have been offered all."""

    def __init__(
        self,
        ground: Ground,
        server: Server,
        zone: str | None,
        jql: str | None,
        takers: Sequence[Taker],
        *,
        repaired: bool,
        known: Lately | None = None,
    ) -> None:
        self.fresh: list[Fresh] = []
        self._ground = ground
        self._server = server
        self._takers = takers
        self._repaired = repaired
        self._known = known or Lately(MAX_OFFERED)
        since = min(taker.since for taker in takers)
        self._query = updated_since(jql, since, zone, ground.clock() + server.ahead)
        self._search = Search(ground.client, server.info, self._query, self._known)

    def __repr__(self) -> str:
        return f"<Sweep {self._search!r} fresh={len(self.fresh)}>"

    def restart(self) -> None:
        """Begin again after a failure; `fresh` stays."""
        self._search = Search(self._ground.client, self._server.info, self._query, self._known)

    async def step(self) -> bool:
        """Go a page further; return whether there is more.

        Raises:
            QueryRefused: Jira does not accept the query.
            JiraSilent: Jira cannot be asked.
            StoreError: what was found is not kept.
        """
        issues = await self._search.next()
        if issues is None:
            return False
        found: list[Finding] = []
        for issue in issues:
            found += findings(issue, self._takers, is_cloud=self._server.info.is_cloud)
        news = [kept for finding in found if (kept := self._without_offered(finding)) is not None]
        while news:
            news = await self._keep(news)
        for issue in issues:
            self._known.add(state_of(issue))
        return True

    async def _keep(self, news: list[Finding]) -> list[Finding]:
        """Store the first of these, as many as may be in memory at once, and return the rest.

        An event has its whole issue in it, so that a long history makes much of little.
        """
        events: list[NewEvent] = []
        held = 0
        for finding in news:
            event = self._event(finding)
            held += len(event.body)
            events.append(event)
            if held > MAX_HELD_BYTES:
                break
        made = await keep_events(self._ground.log, events)
        for finding, deliveries in zip(news, made, strict=False):  # the rest comes later
            for trigger in finding.triggers:
                self._ground.offered.add((trigger.id, finding.event.occurrence))
            if deliveries and len(self.fresh) < MAX_FRESH:
                got = frozenset(delivery.trigger for delivery in deliveries)
                self.fresh.append(Fresh(finding.event.occurrence, finding.event.occurred_at, got))
        return news[len(events) :]

    def _without_offered(self, finding: Finding) -> Finding | None:
        """Leave out who was offered this already, None when that is everybody."""
        occurrence = finding.event.occurrence
        left = tuple(trigger for trigger in finding.triggers if (trigger.id, occurrence) not in self._ground.offered)
        return Finding(finding.event, finding.type, left) if left else None

    def _event(self, finding: Finding) -> NewEvent:
        event, ground = finding.event, self._ground
        name = ground.client.entry.name
        return NewEvent(
            connection=name,
            occurrence=event.occurrence,
            type=finding.type,
            received_at=ground.clock(),
            triggers=tuple(trigger.id for trigger in finding.triggers),
            body=ground.links.rewritten(name, event.payload(finding.type)),
            occurred_at=event.occurred_at,
            issue_id=event.issue_id,
            issue_key=event.issue_key,
            actor=None if event.actor is None else json.dumps(event.actor),
            repaired=self._repaired,
            kept_for=frozenset(trigger.id for trigger in finding.triggers if not trigger.is_sent),
        )
