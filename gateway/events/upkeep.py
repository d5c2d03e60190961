"""Registered hooks as Jira has them: made, compared, repaired, copies deleted, and looked at again afterwards.

What was sent to Jira proves nothing (docs/facts.md J6): a hook is right when Jira shows it as it should be. One that
somebody changed may have lost webhooks since it was last right: that is a gap, kept before the repair, so that no
crash in between hides it.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from gateway.errors import OVERLOADED, Problem
from gateway.events.event_log import EventLog
from gateway.events.hooks import url_of
from gateway.events.jira_client import JiraSilent
from gateway.events.keeping import keep_gap, stamp
from gateway.events.plan import Judgement, Step, judge, marker, ours
from gateway.events.webhooks_in_jira import NotTaken, Refused, WebhooksInJira
from gateway.store import Cause, Gap, HookState
from gateway.triggers import HookEntry
from jira_api.webhook_api import SeenWebhook, WantedWebhook

log = structlog.get_logger()

MAX_UNSEEN: Final = 3
"""How often a webhook is made that Jira then does not show: each time may have left one that works, or waits."""


class Outcome(NamedTuple):
    """What Jira shows of a hook at the end, None for nothing, and what is wrong, None when all is right."""

    seen: SeenWebhook | None
    problem: str | None


class Upkeep:
    """One round over the registered hooks of one Jira.

    `left`: what it does not keep as it should be, by hook; `unseen`: how often it took one and showed none.
    """

    def __init__(
        self,
        webhooks: WebhooksInJira,
        events: EventLog,
        states: Mapping[int, HookState],
        left: MutableMapping[int, SeenWebhook],
        unseen: MutableMapping[int, int],
        clock: Callable[[], datetime],
    ) -> None:
        self._webhooks = webhooks
        self._log = events
        self._states = states
        self._left = left
        self._unseen = unseen
        self._clock = clock
        self._wanted: list[tuple[HookEntry, WantedWebhook]] = []
        self._troubles: dict[int, str] = {}
        self._is_changed = False

    def __repr__(self) -> str:
        return f"<Upkeep {len(self._wanted)} hooks>"

    def add(self, hook: HookEntry, events: frozenset[str], base_url: str) -> None:
        """Look after a hook, which has to bring these events to this address."""
        secret = hook.secret.get_secret_value() if self._webhooks.signs else None
        wanted = WantedWebhook(marker(hook.row), url_of(base_url, hook), events, hook.row.jql, secret)
        self._wanted.append((hook, wanted))

    async def run(self, seen: Sequence[SeenWebhook], *, is_last: bool) -> dict[int, Outcome]:
        """Do what is to be done and return what Jira shows then, by hook.

        Raises:
            Refused: the account may not; with `is_last` that is a hook's problem instead.
            JiraSilent: Jira, or our store, cannot be asked.
        """
        for hook, wanted in self._wanted:
            try:
                await self._treat(hook, wanted, seen)
            except Refused as refused:
                if not is_last:
                    raise
                self._troubles[hook.id] = refused.reason
            except NotTaken as error:
                said = error.reason.replace(hook.hook_id.get_secret_value(), "…")  # it may quote the URL
                self._troubles[hook.id] = f"Jira does not take the webhook: {said}"
        if self._is_changed:
            seen = await self._webhooks.list()
        return {hook.id: self._outcome(hook, wanted, seen) for hook, wanted in self._wanted}

    async def _treat(self, hook: HookEntry, wanted: WantedWebhook, seen: Sequence[SeenWebhook]) -> None:
        mine = ours(hook.row, hook.hook_id.get_secret_value(), seen)
        found = judge(wanted, mine, was_registered=hook.row.remote_id is not None)
        if found.kept is not None and found.kept == self._left.get(hook.id):
            found = Judgement(Step.NOTHING, found.kept, (), found.surplus)  # Jira would do no better this time
        elif found.step is not Step.CREATE and self._is_refused(hook):
            found = Judgement(Step.UPDATE, found.kept, (*found.wrong, "its signatures are wrong"), found.surplus)
        if found.wrong:
            await self._note_gap(hook, found.wrong)
        self._is_changed = self._is_changed or found.step is not Step.NOTHING or bool(found.surplus)
        for surplus in found.surplus:
            log.warning("webhook_twice", connection=hook.connection, hook=hook.id, webhook=surplus.remote_id)
            await self._webhooks.delete(surplus)
        if found.step is Step.CREATE:
            await self._create(hook, wanted)
        elif found.step is Step.UPDATE and found.kept is not None:
            await self._webhooks.update(found.kept, wanted)

    async def _create(self, hook: HookEntry, wanted: WantedWebhook) -> None:
        if self._unseen.get(hook.id, 0) >= MAX_UNSEEN:
            self._troubles[hook.id] = f"Jira took the webhook {MAX_UNSEEN} times and shows none: look at its list"
            return
        await self._webhooks.create(wanted)

    def _is_refused(self, hook: HookEntry) -> bool:
        """Say whether webhooks were refused since the hook was last right: Jira does not show what it signs with."""
        state = self._states.get(hook.id)
        if state is None or state.refused_at is None or not hook.row.signs:
            return False
        return state.checked_at is None or state.refused_at > state.checked_at

    def _outcome(self, hook: HookEntry, wanted: WantedWebhook, seen: Sequence[SeenWebhook]) -> Outcome:
        mine = ours(hook.row, hook.hook_id.get_secret_value(), seen)
        found = judge(wanted, mine, was_registered=False)
        trouble = self._troubles.get(hook.id)
        self._left.pop(hook.id, None)
        if found.kept is not None:
            self._unseen.pop(hook.id, None)
        elif trouble is None:
            self._unseen[hook.id] = self._unseen.get(hook.id, 0) + 1
        if found.kept is None:
            return Outcome(None, trouble or "Jira does not show the webhook that it took")
        if not found.wrong:
            return Outcome(found.kept, trouble)
        if trouble is None:
            self._left[hook.id] = found.kept
        return Outcome(
            found.kept, trouble or f"Jira does not keep the webhook as it should be: {'; '.join(found.wrong)}"
        )

    async def _note_gap(self, hook: HookEntry, wrong: Sequence[str]) -> None:
        state, now = self._states.get(hook.id), self._clock()
        log.warning("webhook_changed", connection=hook.connection, hook=hook.id, changes=list(wrong))
        since = None if state is None else state.checked_at
        if since is None or since >= now:
            return  # it never was right
        uid = f"webhook/{hook.id}/{stamp(since)}-{stamp(now)}"
        if not await keep_gap(self._log, Gap(0, uid, hook.connection, Cause.WEBHOOK, since, now, now, hook.row.way)):
            raise JiraSilent(Problem(OVERLOADED, "The store cannot be written, so nothing is repaired now."))
