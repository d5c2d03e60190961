"""What to do about the triggers of one connection: kinds, ways and hooks, from what is wanted and what is possible.

Pure. `choose` decides for one trigger, `share` puts triggers on hooks, `judge` says what becomes of a hook in view of
what Jira lists. What is decided stays where it can: a hook that works is not given up because Jira cannot be asked now.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from gateway.store import Hook, Kind, Trigger, Way
from jira_api.events.names import KNOWN_EVENTS
from jira_api.webhook_api import SeenWebhook, WantedWebhook, differences

NO_ACCOUNT: Final = "each caller brings its own login to this connection, so there is no account that could"


@dataclass(frozen=True, slots=True)
class Site:
    """What is possible at a connection: `urls` by way, where Jira can post, or `no_way`, why it cannot.

    `refusal`: why the account may not register webhooks; None when it may.
    """

    has_account: bool
    urls: Mapping[Way, str] = field(default_factory=dict)
    no_way: Mapping[Way, str] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How a trigger learns of events. `kind` None: not at all, `note` says why; `is_kept`: on the hook that it has."""

    kind: Kind | None
    way: Way | None = None
    note: str | None = None
    is_kept: bool = False


@dataclass(slots=True)
class Demand:
    """Triggers that share a hook; `hook` is the one they get, None while it is to be made."""

    kind: Kind
    way: Way
    jql: str | None
    triggers: list[Trigger]
    notes: dict[int, str | None]
    hook: Hook | None = None

    @property
    def events(self) -> frozenset[str]:
        """What the hook has to bring."""
        return frozenset[str]().union(*(trigger.events for trigger in self.triggers))

    @property
    def is_takeover(self) -> bool:
        """Whether a hook that somebody was to make by hand is registered from now on."""
        return self.hook is not None and self.kind is Kind.REGISTERED and self.hook.kind is not Kind.REGISTERED


def choose(trigger: Trigger, site: Site, hooks: Mapping[int, Hook]) -> Choice:
    """Decide how one trigger learns of events."""
    if trigger.wanted is Kind.POLLED:
        return _polled(trigger, site, "as asked")
    hook = None if trigger.hook is None else hooks.get(trigger.hook)
    if hook is not None and hook.way not in site.urls and trigger.way in {None, hook.way}:
        return Choice(hook.kind, hook.way, site.no_way.get(hook.way), is_kept=True)
    ways = [Way.LAN, Way.INTERNET] if trigger.way is None else [trigger.way]
    if hook is not None and hook.way in ways:
        ways = [hook.way]  # another way would have to be tried first, and this one works
    way = next((way for way in ways if way in site.urls), None)
    if way is None:
        reason = "; ".join(site.no_way[way] for way in ways if way in site.no_way)
        if trigger.wanted is not None:
            return Choice(None, None, f"Jira cannot post webhooks: {reason}")
        return _polled(trigger, site, f"Jira cannot post webhooks: {reason}")
    return _by_webhook(trigger, site, way, hook)


def _by_webhook(trigger: Trigger, site: Site, way: Way, hook: Hook | None) -> Choice:
    if trigger.wanted is Kind.MANUAL:
        return Choice(Kind.MANUAL, way, "as asked")
    reason = f"{NO_ACCOUNT} register it" if not site.has_account else site.refusal
    if reason is None:
        return Choice(Kind.REGISTERED, way)
    if hook is not None and hook.kind is Kind.REGISTERED and hook.remote_id is not None and hook.way is way:
        return Choice(Kind.REGISTERED, way)  # it was registered once, and is there as far as we know
    if trigger.wanted is Kind.REGISTERED:
        return Choice(None, None, f"it cannot be registered: {reason}")
    if trigger.kind is Kind.POLLED and site.has_account:  # that works, and a webhook would wait for somebody
        return _polled(trigger, site, f"Jira could post webhooks now, but they cannot be registered: {reason}")
    return Choice(Kind.MANUAL, way, f"it cannot be registered: {reason}")


def _polled(trigger: Trigger, site: Site, note: str) -> Choice:
    if not site.has_account:
        return Choice(None, None, f"{note}; and {NO_ACCOUNT} search for changes")
    blind = blind_to(trigger.events)
    return Choice(Kind.POLLED, None, f"{note}; a search does not find {', '.join(blind)}" if blind else note)


def blind_to(events: Iterable[str]) -> list[str]:
    """Return those of these events that no search finds."""
    return sorted(name for name in events if name not in KNOWN_EVENTS or not KNOWN_EVENTS[name].recoverable)


def share(chosen: Sequence[tuple[Trigger, Choice]], hooks: Sequence[Hook]) -> tuple[list[Demand], list[Hook]]:
    """Return what hooks are needed, each with the one that serves it if there is one, and the hooks left over."""
    demands: dict[tuple[Kind, Way, str], Demand] = {}
    for trigger, choice in chosen:
        if choice.kind is None or choice.kind is Kind.POLLED or choice.way is None:
            continue
        jql = normal(trigger.jql)
        key = (choice.kind, choice.way, jql or "")
        demand = demands.setdefault(key, Demand(choice.kind, choice.way, jql, [], {}))
        demand.triggers.append(trigger)
        demand.notes[trigger.id] = choice.note
    free = {hook.id: hook for hook in hooks}
    for demand in demands.values():
        demand.hook = _serving(demand, free, [demand.kind])
    for demand in demands.values():
        if demand.hook is None and demand.kind is Kind.REGISTERED:
            demand.hook = _serving(demand, free, [Kind.MANUAL])
        elif demand.hook is None:
            demand.hook = _serving(demand, free, [Kind.REGISTERED], never_registered=True)
    return list(demands.values()), list(free.values())


def _serving(
    demand: Demand, free: dict[int, Hook], kinds: Sequence[Kind], *, never_registered: bool = False
) -> Hook | None:
    """Take a hook for a demand, of those that fit the one that its triggers have now."""
    fitting = [
        hook
        for hook in free.values()
        if hook.kind in kinds
        and hook.way is demand.way
        and normal(hook.jql) == demand.jql
        and not (never_registered and hook.remote_id is not None)
    ]
    if not fitting:
        return None
    used = [trigger.hook for trigger in demand.triggers]
    chosen = max(fitting, key=lambda hook: (used.count(hook.id), hook.remote_id is not None, -hook.id))
    return free.pop(chosen.id)


def normal(jql: str | None) -> str | None:
    """Return a JQL as it is compared and registered."""
    return (jql or "").strip() or None


def marker(hook: Hook) -> str:
    """Return the name of a hook's webhook in Jira; what is in brackets tells that it is ours."""
    return f"jira-tunnel {hook.connection}/{hook.id} {_bracket(hook)}"


def ours(hook: Hook, hook_id: str, seen: Sequence[SeenWebhook]) -> list[SeenWebhook]:
    """Return the webhooks of Jira that are this hook, by name or by address, the likeliest first.

    Jira's numbers prove nothing: another version's API counts anew.
    """
    mine = [one for one in seen if _bracket(hook) in one.name or leads_to(one.url, hook_id)]
    return sorted(mine, key=lambda one: (not leads_to(one.url, hook_id), one.remote_id != hook.remote_id))


def leads_to(url: str, hook_id: str) -> bool:
    """Say whether a webhook's address is that of the hook of this id, whatever was put in front or behind."""
    return f"/hooks/{hook_id}" in url


def _bracket(hook: Hook) -> str:
    return f"[{hook.id_hash[:8]}]"


class Step(Enum):
    """What is to be done about a hook in Jira."""

    NOTHING = auto()
    CREATE = auto()
    UPDATE = auto()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do about a hook: `wrong` is what is not as it was left, in words; `surplus` are copies to delete."""

    step: Step
    kept: SeenWebhook | None = None
    wrong: tuple[str, ...] = ()
    surplus: tuple[SeenWebhook, ...] = ()


def judge(wanted: WantedWebhook, mine: Sequence[SeenWebhook], *, was_registered: bool) -> Judgement:
    """Compare what Jira lists of a hook (`ours`) with what is wanted."""
    if not mine:
        return Judgement(Step.CREATE, wrong=("it was deleted",) if was_registered else ())
    kept, *surplus = sorted(mine, key=lambda one: len(differences(wanted, one)))  # of equals the first stays first
    wrong = differences(wanted, kept)
    step = Step.UPDATE if wrong or kept.name != wanted.name else Step.NOTHING
    return Judgement(step, kept, tuple(wrong), tuple(surplus))
