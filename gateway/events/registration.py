"""One look at the triggers and hooks of one connection: what is wanted, what is possible, what is decided and stored.

A hook is in the store before Jira hears of it, and its webhook's name in Jira tells which it is: whatever breaks off in
between, the next look finds the webhook and takes it over, so that there are never two. `upkeep` does what is to be
done in Jira.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog

from gateway.directory import Directory, read_directory
from gateway.errors import AGENT_OFFLINE, OVERLOADED, Problem
from gateway.events.event_log import EventLog
from gateway.events.hooks import new_hook
from gateway.events.jira_client import JiraClient, JiraSilent, Server
from gateway.events.jql_check import objection_to
from gateway.events.keeping import keep_gap, stamp
from gateway.events.plan import Choice, Demand, Site, choose, marker, normal, ours, share
from gateway.events.reach import reach
from gateway.events.upkeep import Upkeep
from gateway.events.webhooks_in_jira import NotTaken, Refused, WebhooksInJira
from gateway.sealing import SecretKey
from gateway.store import Cause, Change, Credentials, Gap, Hook, HookState, Kind, NotFound, Store, Trigger, Way
from gateway.triggers import HookEntry
from jira_api.webhook_api import SeenWebhook

log = structlog.get_logger()

ACTOR: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all looks need.

    `told`: what is known of a connection's Jira; `posts_to` hears at which address of an agent it posts already;
    `in_force` waits until webhooks for these hooks are let in.
    """

    store: Store
    log: EventLog
    key: SecretKey
    public_url: str
    clock: Callable[[], datetime]
    told: Callable[[JiraClient], dict[bytes, bytes]]
    posts_to: Callable[[JiraClient, str], None]
    in_force: Callable[[Sequence[int]], Awaitable[None]]


@dataclass(slots=True)
class Memory:
    """What one look leaves for the next of the same connection.

    `left`: webhooks that Jira does not keep as they should be, by hook.
    `unseen`: how often it took one and showed none, by hook.
    `waits_for`: the slug of what kept triggers from being decided, by trigger.
    """

    good_jql: set[str] = field(default_factory=set)
    left: dict[int, SeenWebhook] = field(default_factory=dict)
    unseen: dict[int, int] = field(default_factory=dict)
    hook_problems: dict[int, str] = field(default_factory=dict)
    trigger_problems: dict[int, str] = field(default_factory=dict)
    waits_for: dict[int, str] = field(default_factory=dict)
    urls: dict[Way, str] = field(default_factory=dict)
    server: Server | None = None


class Registration:
    """One look; made for it and thrown away."""

    def __init__(self, client: JiraClient, shared: Shared, memory: Memory) -> None:
        self._client = client
        self._shared = shared
        self._memory = memory
        self._server: Server | None = None
        self._webhooks: WebhooksInJira | None = None
        self._seen: Sequence[SeenWebhook] = ()
        self._hooks: dict[int, HookEntry] = {}
        self._states: dict[int, HookState] = {}

    def __repr__(self) -> str:
        return f"<Registration {self._client.entry.name}>"

    @property
    def _has_account(self) -> bool:
        return self._client.entry.credentials is not Credentials.CALLER

    async def run(self) -> None:
        """Look once.

        Raises:
            JiraSilent: Jira could not be asked; what could be done without it is done.
            StoreError: the store.
        """
        memory = self._memory
        triggers = self._take(await read_directory(self._shared.store, self._shared.key))
        if not triggers and not self._hooks:
            return
        self._states = await self._shared.store.hook_states()
        memory.trigger_problems.clear()
        try:
            refusal = await self._meet(triggers)
        except JiraSilent as silent:
            await self._postpone(triggers, silent)
            raise
        try:
            await self._arrange(triggers, refusal, is_last=refusal is not None)
        except Refused as refused:  # the account may look, but not touch
            await self._arrange(triggers, refused.reason, is_last=True)
        except JiraSilent as silent:
            self._note_all(silent)
            raise

    def _take(self, directory: Directory) -> list[Trigger]:
        name, subscriptions = self._client.entry.name, directory.subscriptions
        self._hooks = {entry.id: entry for entry in subscriptions.hooks if entry.connection == name}
        return [entry.row for entry in subscriptions.of_connection(name)]

    # Who is there

    async def _meet(self, triggers: Sequence[Trigger]) -> str | None:
        """Ask who Jira is and what webhooks it has; return why this account may not have any."""
        agent = self._client.entry.agent
        if agent is not None and not self._shared.told(self._client):
            raise JiraSilent(Problem(AGENT_OFFLINE, f"Agent {agent} has not said yet where it listens."))
        try:
            self._server = self._memory.server = await self._client.server(self._shared.clock)
        except JiraSilent:
            if self._has_account:
                raise
            return None  # webhooks made by hand need no answer of Jira's
        is_about_webhooks = self._hooks or any(trigger.wanted in {None, Kind.REGISTERED} for trigger in triggers)
        if not self._has_account or not is_about_webhooks:
            return None
        webhooks = WebhooksInJira(self._client, self._server.info)
        try:
            self._seen = await webhooks.list()
        except Refused as refused:
            return refused.reason
        self._webhooks = webhooks
        return None

    async def _postpone(self, triggers: Sequence[Trigger], silent: JiraSilent) -> None:
        """Say why nothing can be decided or compared now; what was decided stays."""
        self._note_all(silent)
        memory, slug = self._memory, silent.problem.slug.name
        waiting = [trigger for trigger in triggers if trigger.kind is None]
        for trigger in waiting:
            memory.trigger_problems[trigger.id] = str(silent)
        fresh = [trigger for trigger in waiting if memory.waits_for.get(trigger.id) != slug]
        note = f"not decided yet: {silent}"
        if any(trigger.note != note for trigger in fresh):
            async with self._change() as change:
                for trigger in fresh:
                    await _decide(change, trigger, None, None, note)
        memory.waits_for = {trigger.id: slug for trigger in waiting}

    def _note_all(self, silent: JiraSilent) -> None:
        for hook in self._hooks.values():
            if hook.row.kind is Kind.REGISTERED:
                self._note(hook.id, str(silent))

    # What is to be

    async def _arrange(self, triggers: Sequence[Trigger], refusal: str | None, *, is_last: bool) -> None:
        """Decide, store, and do it; raises `Refused` when Jira refuses to register, unless this is the last try."""
        rows = [entry.row for entry in self._hooks.values()]
        chosen = await self._choose(triggers, self._site(refusal))
        demands, unused = share(chosen, rows)
        await self._keep(chosen, demands)
        registered = [demand for demand in demands if demand.kind is Kind.REGISTERED]
        if self._webhooks is None:
            for demand in registered:
                self._fail(demand, refusal or "Jira was not asked")
        else:
            await self._look_after(registered, self._webhooks, is_last=is_last)
        await self._finish_manual([demand for demand in demands if demand.kind is Kind.MANUAL])
        await self._remove(unused, refusal)

    def _site(self, refusal: str | None) -> Site:
        server = None if self._server is None else self._server.info
        for entry in self._hooks.values():
            if entry.row.way is Way.LAN and entry.row.base_url is not None:
                self._shared.posts_to(self._client, entry.row.base_url)
        ways = reach(self._client.entry, self._shared.told(self._client), self._shared.public_url, server)
        self._memory.urls = ways.urls
        return Site(self._has_account, ways.urls, ways.no_way, refusal)

    async def _choose(self, triggers: Sequence[Trigger], site: Site) -> list[tuple[Trigger, Choice]]:
        rows = {number: entry.row for number, entry in self._hooks.items()}
        chosen = []
        for trigger in triggers:
            choice = choose(trigger, site, rows)
            if choice.kind is not None:
                choice = await self._checked(trigger, choice)
            if choice.kind is None or (choice.is_kept and choice.note):
                self._memory.trigger_problems[trigger.id] = choice.note or "there is no way"
            chosen.append((trigger, choice))
        return chosen

    async def _checked(self, trigger: Trigger, choice: Choice) -> Choice:
        """Turn a choice down when Jira does not accept the JQL; that of a trigger with a kind was accepted before."""
        jql, good = normal(trigger.jql), self._memory.good_jql
        if jql is None or jql in good or trigger.kind is not None or not self._has_account or self._server is None:
            return choice
        now = self._shared.clock() + self._server.ahead
        objection = await objection_to(self._client, self._server.info, jql, now)
        if objection is not None:
            return Choice(None, None, f"Jira does not accept the JQL: {objection}")
        good.add(jql)
        return choice

    async def _keep(self, chosen: Sequence[tuple[Trigger, Choice]], demands: Sequence[Demand]) -> None:
        """Store new hooks and what was decided, and wait until webhooks for them are let in."""
        made: list[HookEntry] = []
        decisions = [(trigger, choice.kind, choice.note) for trigger, choice in chosen if not _is_hooked(choice)]
        if all(demand.hook for demand in demands) and not any(map(_is_news, decisions)) and not _are_moved(demands):
            return
        async with self._change() as change:
            for demand in demands:
                if demand.hook is None:
                    made.append(await self._make(change, demand))
                await _decide_all(change, demand)
            for trigger, kind, note in decisions:
                await _decide(change, trigger, kind, None, note)
        self._hooks.update((entry.id, entry) for entry in made)
        if made:
            await self._shared.in_force([entry.id for entry in made])

    async def _make(self, change: Change, demand: Demand) -> HookEntry:
        entry, now = self._client.entry, self._shared.clock()
        draft = Hook(0, entry.name, demand.way, demand.kind, "", now, demand.jql)
        made = new_hook(draft, entry.agent, self._shared.key)
        demand.hook = await change.add_hook(made.row)
        return replace(made, row=demand.hook)

    # What is done

    async def _look_after(self, demands: Sequence[Demand], webhooks: WebhooksInJira, *, is_last: bool) -> None:
        memory, shared = self._memory, self._shared
        upkeep = Upkeep(webhooks, shared.log, self._states, memory.left, memory.unseen, shared.clock)
        for demand in demands:
            entry, base = self._entry(demand), memory.urls.get(demand.way)
            if entry is not None and base is not None:
                upkeep.add(entry, demand.events, base)
        outcomes = await upkeep.run(self._seen, is_last=is_last)
        for demand in demands:
            outcome = outcomes.get(demand.hook.id) if demand.hook is not None else None
            if outcome is None:
                self._fail(demand, "Jira cannot post webhooks there any more")
                continue
            if outcome.seen is not None:
                await self._adopt(demand, outcome.seen, signs=webhooks.signs)
            if outcome.problem is not None:
                self._fail(demand, outcome.problem)
            elif demand.hook is not None:
                await self._note_change_over(demand.hook, demand.triggers)
                memory.hook_problems.pop(demand.hook.id, None)
                shared.log.note_hook(demand.hook.id, problem=None, checked_at=shared.clock())

    async def _note_change_over(self, hook: Hook, triggers: Sequence[Trigger]) -> None:
        """Keep a gap when a hook is right for the first time and its triggers were polled: since the last search."""
        state, now = self._states.get(hook.id), self._shared.clock()
        if self._server is None or (state is not None and state.checked_at is not None):
            return
        marks = await self._shared.store.watermarks()
        ends = [mark.until for row in triggers if (mark := marks.get(f"trigger:{row.id}")) and mark.until is not None]
        if not ends or (since := min(ends) - self._server.ahead) >= now:
            return
        gap = Gap(0, f"polled/{hook.id}-{stamp(since)}", hook.connection, Cause.WEBHOOK, since, now, now, hook.way)
        if not await keep_gap(self._shared.log, gap):
            raise JiraSilent(Problem(OVERLOADED, "The store cannot be written, so a change from polling waits."))

    async def _adopt(self, demand: Demand, seen: SeenWebhook, *, signs: bool) -> None:
        """Keep what Jira calls the hook, that it signs, and that it is registered, by whomever."""
        hook = demand.hook
        if hook is None:
            return
        base = self._memory.urls.get(hook.way)
        row = replace(hook, kind=Kind.REGISTERED, remote_id=seen.remote_id, signs=signs, base_url=base)
        demand.hook = row
        if row == hook and not _are_moved([demand]):
            return
        async with self._change() as change:
            await change.update_hook(row)
            await _decide_all(change, demand)

    async def _finish_manual(self, demands: Sequence[Demand]) -> None:
        """Hooks that somebody makes in Jira: they sign where Jira can, and nobody can look whether they are right."""
        server = self._server
        for demand in demands:
            hook = demand.hook
            if hook is None:
                continue
            signs = hook.signs if server is None else WebhooksInJira(self._client, server.info).signs
            row = replace(hook, kind=Kind.MANUAL, signs=signs)
            if row != hook:
                async with self._change() as change:
                    await change.update_hook(row)
            self._memory.hook_problems.pop(hook.id, None)
            state = self._states.get(hook.id)
            if state is not None and state.problem is not None:
                self._shared.log.note_hook(hook.id, problem=None)

    async def _remove(self, unused: Sequence[Hook], refusal: str | None) -> None:
        """Remove hooks that nobody needs: in Jira as far as the account may, then here."""
        for hook in unused:
            try:
                await self._remove_in_jira(hook, refusal)
            except (Refused, NotTaken) as error:
                log.warning("webhook_left_in_jira", connection=hook.connection, webhook=marker(hook), reason=str(error))
            async with self._change() as change:
                await change.remove_hook(hook)
            self._memory.left.pop(hook.id, None)
            self._memory.unseen.pop(hook.id, None)
            self._memory.hook_problems.pop(hook.id, None)

    async def _remove_in_jira(self, hook: Hook, refusal: str | None) -> None:
        if self._webhooks is None:
            if hook.kind is Kind.REGISTERED or hook.remote_id is not None:
                raise Refused(refusal or "the account may not")
            return
        for seen in ours(hook, self._hooks[hook.id].hook_id.get_secret_value(), self._seen):
            await self._webhooks.delete(seen)

    # Notes

    def _entry(self, demand: Demand) -> HookEntry | None:
        return None if demand.hook is None else self._hooks.get(demand.hook.id)

    def _fail(self, demand: Demand, problem: str) -> None:
        if demand.hook is not None:
            self._note(demand.hook.id, problem)
        for trigger in demand.triggers:
            self._memory.trigger_problems[trigger.id] = problem

    def _note(self, hook: int, problem: str) -> None:
        state = self._states.get(hook)
        self._memory.hook_problems[hook] = problem
        if state is None or state.problem != problem:
            self._shared.log.note_hook(hook, problem=problem)

    def _change(self) -> AbstractAsyncContextManager[Change]:
        return self._shared.store.change(ACTOR, self._shared.clock())


def _is_hooked(choice: Choice) -> bool:
    return choice.kind is not None and choice.kind is not Kind.POLLED


def _is_news(decision: tuple[Trigger, Kind | None, str | None]) -> bool:
    trigger, kind, note = decision
    return (trigger.kind, trigger.hook, trigger.note) != (kind, None, note)


def _are_moved(demands: Sequence[Demand]) -> bool:
    """Say whether a trigger is not yet on the hook of its demand."""
    return any(
        demand.hook is not None
        and (trigger.kind, trigger.hook, trigger.note) != (demand.kind, demand.hook.id, demand.notes[trigger.id])
        for demand in demands
        for trigger in demand.triggers
    )


async def _decide_all(change: Change, demand: Demand) -> None:
    """Put the triggers of a demand on its hook; a takeover counts only when Jira has it."""
    if demand.hook is None or demand.is_takeover:
        return
    for trigger in demand.triggers:
        await _decide(change, trigger, demand.kind, demand.hook.id, demand.notes[trigger.id])


async def _decide(change: Change, trigger: Trigger, kind: Kind | None, hook: int | None, note: str | None) -> None:
    """Keep how a trigger learns of events; one that was removed meanwhile needs nothing."""
    with suppress(NotFound):
        await change.decide_trigger(trigger.name, kind, hook, note)
