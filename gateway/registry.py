"""The live links of every agent, and which of them carries the next request. Pure: no I/O, no clock.

An agent name may have several instances (active-active), each with several links.
"""

import re
from collections import Counter, deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from certs.certificates import AgentCertificate
from certs.identity import AgentIdentity
from gateway.canary import Canary
from tunnel.errors import CloseReason, ErrorCode, Progress
from tunnel.heads import Pairs, RequestHead
from tunnel.streams import Stream, StreamReceiver
from tunnel.traffic import Traffic

KNOWN_SETTINGS: Final = frozenset(
    {
        b"jira-url",
        b"jira-base-url",
        b"jira-version",
        b"context-path",
        b"webhook-url",
        b"switch",
        b"switch-reason",
    }
)
MAX_SETTING: Final = 2048
MAX_WEDGED: Final = 64
"""Links taken out of use that are remembered, for people."""

_FORMS: Final = {
    b"switch": re.compile(rb"open|read-only|paused"),
    b"switch-reason": re.compile(rb"[^\x00-\x1f\x7f]{0,800}"),
    b"context-path": re.compile(rb"(?:/[A-Za-z0-9._~-]+)*"),
    # Jira gets it with an id behind it, and people see it: no user, no query, nothing that a terminal obeys.
    b"webhook-url": re.compile(
        rb"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*/?"
    ),
}


class RelayStream(Protocol):
    """What the relay needs of a stream, on a link (`tunnel.streams.Stream`) or direct (`gateway.direct`)."""

    @property
    def queued_bytes(self) -> int:
        """Bytes of the request that were sent and are not taken yet."""

    @property
    def is_choked(self) -> bool:
        """So many that no more are to be sent; `on_writable` follows."""

    @property
    def progress(self) -> Progress:
        """How far the request got."""

    def send_data(self, data: bytes) -> None:
        """Send a part of the request's body."""

    def send_end(self, trailers: Pairs | None = None) -> None:
        """End the request's body."""

    def consume(self, size: int) -> None:
        """Say that the caller has taken `size` bytes of the answer."""

    def reset(self, code: ErrorCode, progress: Progress = Progress.SENT, detail: str = "") -> None:
        """Give up; nothing is heard any more."""


class Opener(Protocol):
    """What takes requests."""

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> RelayStream:
        """Send a request; raises `tunnel.errors.StreamRefused`, or `gateway.admission.Refused` when direct."""


class Way(Protocol):
    """One way to a Jira: a live link of its agent (`AgentLink`), or direct (`gateway.direct_links.DirectLink`)."""

    @property
    def link(self) -> Opener:
        """What takes requests."""

    @property
    def settings(self) -> dict[bytes, bytes]:
        """What is known of this Jira: b"jira-url", b"jira-base-url", b"context-path"."""

    @property
    def faces(self) -> dict[tuple[str, bool], Any]:
        """What was derived from the settings (see `AgentLink`)."""

    label: str
    """How the access log calls it; made there when it is first needed."""


class Carrier(Protocol):
    """What the gateway needs of a link (`tunnel.link.Link`)."""

    @property
    def load(self) -> int:
        """Bytes of work in progress; the least loaded link is picked."""

    @property
    def is_usable(self) -> bool:
        """Whether it takes new streams."""

    @property
    def rtt(self) -> float | None:
        """Seconds to the agent and back."""

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> Stream:
        """Send a request to the agent; raises `tunnel.errors.StreamRefused`."""

    @property
    def traffic(self) -> Traffic:
        """What it has carried."""

    def waiting_bytes(self) -> tuple[int, int, int, int, int]:
        """Return how many bytes wait to be sent, in each of tunnel.traffic.LANES."""

    @property
    def streams(self) -> int:
        """Requests in flight."""

    @property
    def software(self) -> str:
        """What the agent calls itself."""

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Tell the agent news about us."""

    async def drain(self, seconds: float) -> None:
        """Take no new streams, and wait for those that are open."""

    def abort(self, reason: CloseReason = CloseReason.ABORTED) -> None:
        """Close at once."""


@dataclass(eq=False, slots=True)
class AgentLink:
    """One live link and whose it is, by its certificate; `settings` is what the agent announced on it.

    `faces` keeps what was derived from the settings, by connection and way of addressing (gateway.answer). `hooks` is
    what the agent was told last about the hooks at which it receives webhooks. `canary` tells whether streams on it get
    anywhere (gateway.canary_watch); a link that `is_unproven` is not used before one has come back. `number` is what
    logs call it by, and `label` what the access log says of it.
    """

    certificate: AgentCertificate
    link: Carrier
    address: str
    opened_at: datetime
    settings: dict[bytes, bytes] = field(default_factory=dict)
    faces: dict[tuple[str, bool], Any] = field(default_factory=dict)  # Any: answer.Face, which knows this module
    hooks: bytes | None = None
    canary: Canary = field(default_factory=Canary)
    number: int = 0
    label: str = ""
    is_unproven: bool = False

    def announce(self, settings: dict[bytes, bytes]) -> None:
        """Take news of the agent, as far as they mean something; what was derived from the old ones is forgotten."""
        news = {name: value for name, value in settings.items() if _is_sound(name, value)}
        self.settings = {**self.settings, **news}
        self.faces = {}

    @property
    def identity(self) -> AgentIdentity:
        """Which agent, and which instance of it."""
        return self.certificate.identity

    @property
    def in_flight(self) -> int:
        """Open streams but the canary."""
        return max(0, self.link.streams - self.canary.is_out)


def _is_sound(name: bytes, value: bytes) -> bool:
    """Say whether a setting is one of ours, and small: an agent must not make us keep whatever it sends."""
    if name not in KNOWN_SETTINGS or len(value) > MAX_SETTING:
        return False
    form = _FORMS.get(name)
    return form is None or form.fullmatch(value) is not None


class Registry:
    """Agent name -> its live links. The only owner of that map."""

    def __init__(self) -> None:
        self._agents: dict[str, list[AgentLink]] = {}
        self._last_settings: dict[str, dict[bytes, bytes]] = {}  # of agents that are offline
        self._turn = 0
        self._unproven: list[AgentLink] = []
        self._suspects: set[AgentIdentity] = set()  # instances whose last link was wedged
        self.wedged: deque[dict[str, Any]] = deque(maxlen=MAX_WEDGED)  # rows, as gateway.status makes them
        self.wedged_total: Counter[str] = Counter()  # by agent, since the start
        self._gone: dict[str, Traffic] = {}  # of links that are no more, by agent
        self.opened: Counter[str] = Counter()  # links since the start, by agent
        self._links = 0

    def __repr__(self) -> str:
        return f"Registry({ {name: len(links) for name, links in self._agents.items()} })"

    def add(self, agent_link: AgentLink) -> None:
        """Number a link and use it for its agent's requests; after a wedged one of its instance once it is proven."""
        self._links += 1
        agent_link.number = self._links
        self.opened[agent_link.identity.name] += 1
        if agent_link.identity in self._suspects:
            agent_link.is_unproven = True
            self._unproven.append(agent_link)
        else:
            self._use(agent_link)

    def prove(self, agent_link: AgentLink) -> None:
        """Use a link that was not used before a canary came back on it."""
        if agent_link in self._unproven:
            self._unproven.remove(agent_link)
            self._suspects.discard(agent_link.identity)
            agent_link.is_unproven = False
            self._use(agent_link)

    def _use(self, agent_link: AgentLink) -> None:
        self._agents.setdefault(agent_link.identity.name, []).append(agent_link)

    def remove(self, agent_link: AgentLink) -> None:
        """Forget a link that is gone."""
        links = self._agents.get(agent_link.identity.name, [])
        if agent_link in links:
            links.remove(agent_link)
            self._gone.setdefault(agent_link.identity.name, Traffic()).add(agent_link.link.traffic)
        elif agent_link in self._unproven:
            self._unproven.remove(agent_link)
        if agent_link.settings:
            self._last_settings[agent_link.identity.name] = agent_link.settings
        if not links:
            self._agents.pop(agent_link.identity.name, None)

    def note_wedged(self, identity: AgentIdentity, row: dict[str, Any]) -> None:
        """Remember that a link of this instance was taken out of use although it was up."""
        self._suspects.add(identity)
        self.wedged_total[identity.name] += 1
        self.wedged.append(row)

    def links(self, agent: str | None = None) -> Iterator[AgentLink]:
        """Iterate over a copy of the links in use of one agent, or of all."""
        lists = self._agents.values() if agent is None else [self._agents.get(agent, [])]
        for links in list(lists):
            yield from list(links)

    def every_link(self, agent: str | None = None) -> Iterator[AgentLink]:
        """Iterate over those and the unproven ones."""
        yield from self.links(agent)
        yield from [link for link in self._unproven if agent in {None, link.identity.name}]

    def unproven(self) -> list[AgentLink]:
        """Return the links that are not used before a canary came back on them."""
        return list(self._unproven)

    def siblings(self, agent_link: AgentLink) -> set[int]:
        """Return the ids of all links of the same instance, this one's too: what one refuses, all refuse."""
        same = agent_link.identity
        return {id(link) for link in self._agents.get(same.name, ()) if link.identity == same}

    def traffic(self) -> dict[str, Traffic]:
        """Return what all links have carried since the start, by agent."""
        found = {name: replace(gone) for name, gone in self._gone.items()}
        for agent_link in self.every_link():
            found.setdefault(agent_link.identity.name, Traffic()).add(agent_link.link.traffic)
        return found

    def pick(self, agent: str, avoid: Container[int] = ()) -> AgentLink | None:
        """Return the usable link with the least work, or None; `avoid` holds ids of links not to use.

        Links of equal work take turns, so that a link that fails at once is not picked again and again.
        """
        links = self._agents.get(agent)
        if not links:
            return None
        best, best_load = None, 0
        count = len(links)
        self._turn += 1
        for index in range(self._turn, self._turn + count):
            candidate = links[index % count]
            link = candidate.link
            if link.is_usable and id(candidate) not in avoid:
                load = link.load
                if best is None or load < best_load:
                    best, best_load = candidate, load
        return best

    def webhook_urls(self, agent: str) -> set[bytes] | None:
        """Return where the instances of an agent that are here receive webhooks, None when none is here."""
        links = [candidate for candidate in self._agents.get(agent, ()) if candidate.link.is_usable]
        told = [link.settings[b"webhook-url"] for link in links if link.settings.get(b"webhook-url")]
        return set(told) if any(link.settings for link in links) else None

    def settings(self, agent: str) -> dict[bytes, bytes]:
        """Return what the agent announced on its newest usable link, or last before it went offline.

        An agent's context path must outlive its links: a path below it means the same while it is away.
        """
        for candidate in reversed(self._agents.get(agent, ())):
            if candidate.settings and candidate.link.is_usable:
                return candidate.settings
        return self._last_settings.get(agent, {})
