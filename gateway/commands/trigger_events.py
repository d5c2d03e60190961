"""`jira-gateway triggers events`, and the wait for a trigger's first event: both only look into the store."""

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import EnvFile, Json, Name
from gateway.commands.printing import put, say, text
from runtime.exits import OK

if TYPE_CHECKING:
    from gateway.commands.desk import Visit
    from gateway.operations.desk import Desk
    from gateway.store import Delivery, State
    from gateway.store.event_store import EventStore

POLL_SECONDS = 0.5
PAGE = 100
_STATES = ("pending", "delivered", "dead", "kept")
_NOT_ASCII = re.compile("[^ -~]")


def _states(value: str) -> str:
    wrong = sorted(set(value.split(",")) - set(_STATES))
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(_STATES)}")
    return value


def events(
    name: Name,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    after: Annotated[
        int, typer.Option("--after", metavar="N", min=0, help="Begin after this cursor; default: the oldest kept.")
    ] = 0,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=0, help="Only the newest N.")] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="dead,…", parser=_states, help="Only pending, delivered, dead or kept ones."),
    ] = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Show a trigger's events and what became of each, oldest first; with --state dead the dead letters.

    With --json each line is one event as a subscriber gets it, with its cursor and state around it.

    \b
    Examples:
      jira-gateway triggers events tickets --last 20 --follow
      jira-gateway triggers events tickets --state dead
      jira-gateway triggers events tickets --after 4711 --json | jq .event.issue.key
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands
    from gateway.store import State  # noqa: PLC0415 - see gateway.commands

    if last is not None and after:
        raise typer.BadParameter("say either --after or --last")
    if follow and state is not None:
        raise typer.BadParameter("--follow shows events as they come: what becomes of them, --state, is known later")
    states = frozenset(State(word) for word in state.split(",")) if state else frozenset[State]()
    reading = _Reading(name, after, last, states, follow=follow, as_json=as_json)
    try:
        enter(env_file).work(reading.run)
    except KeyboardInterrupt:
        if not follow:
            raise
    return OK


class _Reading:
    """One look at a trigger's deliveries."""

    def __init__(
        self, name: str, after: int, last: int | None, states: "frozenset[State]", *, follow: bool, as_json: bool
    ) -> None:
        self._name = name
        self._after = after
        self._last = last
        self._states = states
        self._follow = follow
        self._show = _line_of_json if as_json else _line
        self._as_json = as_json

    async def run(self, desk: "Desk") -> None:
        """Print what is there, and what comes when that is wanted."""
        from asyncio import sleep  # noqa: PLC0415 - see gateway.commands

        from gateway.operations.triggers import find  # noqa: PLC0415 - see gateway.commands

        trigger = await find(desk, self._name)
        async with opened(desk) as store:
            if self._last is not None:
                self._after = await store.before_last(trigger.id, self._last, states=self._states)
            count = await self._print_all(store, trigger.id)
            if not count and not self._follow:
                say(f"No such events of {self._name}." if self._states else f"No events of {self._name}.")
            while self._follow:
                await sleep(POLL_SECONDS)
                await self._print_all(store, trigger.id)

    async def _print_all(self, store: "EventStore", trigger: int) -> int:
        read = store.page if self._as_json else store.headlines
        count = 0
        while True:
            page = await read(trigger, self._after, limit=PAGE, states=self._states)
            if not page:
                return count
            for delivery in page:
                put(self._show(delivery, self._name))
                self._after = delivery.number
            sys.stdout.flush()
            count += len(page)


def wait_for_first(visit: "Visit", name: str) -> None:
    """Wait until something of Jira's has arrived for a new trigger; Ctrl-C ends the waiting, not the trigger."""
    sys.stdout.flush()
    try:
        say(f"\nWaiting for the first event of {name}; Ctrl-C ends the waiting, not the trigger.")
        visit.work(lambda desk: _first(desk, name))
    except KeyboardInterrupt:
        say(f"\nNo longer waiting; jira-gateway triggers show {name} tells when the first event has arrived.")
        return
    say("The first event has arrived.")


async def _first(desk: "Desk", name: str) -> None:
    from asyncio import sleep  # noqa: PLC0415 - see gateway.commands

    from gateway.operations.triggers import find  # noqa: PLC0415 - see gateway.commands

    async with opened(desk) as store:
        while True:
            trigger = await find(desk, name)
            state = (await desk.store.hook_states()).get(trigger.hook or 0)
            seen = None if state is None else state.last_event_at
            if (seen is not None and seen >= trigger.created_at) or await store.last_number(trigger.id):
                return
            await sleep(POLL_SECONDS)


def in_terminal() -> bool:
    """Say whether a person watches, and nobody waits for the end of our output."""
    return sys.stdout.isatty() and sys.stderr.isatty()


@asynccontextmanager
async def opened(desk: "Desk") -> "AsyncIterator[EventStore]":
    """Open the events of the desk's store."""
    from gateway.store import database_path  # noqa: PLC0415 - see gateway.commands
    from gateway.store.event_store import open_event_store  # noqa: PLC0415 - see gateway.commands

    settings = desk.settings
    async with open_event_store(database_path(settings.state_dir, settings.database_url)) as store:
        yield store


def _line(delivery: "Delivery", name: str) -> str:
    del name
    event = delivery.event
    cells = (
        str(delivery.number).rjust(6),
        text(event.received_at),
        event.type.ljust(20),
        text(event.issue_key or event.issue_id).ljust(10),
        delivery.state.value.ljust(9),
        str(delivery.attempts),
        delivery.last_error or "",
    )
    return "  ".join(cells).rstrip()


def _line_of_json(delivery: "Delivery", name: str) -> str:
    """Return one line of ASCII: control characters are space between JSON's parts, others stand in its strings."""
    from gateway.operations.trigger_views import as_json  # noqa: PLC0415 - see gateway.commands

    whole = as_json(delivery, name).decode()
    return _NOT_ASCII.sub(_escaped, whole)


def _escaped(found: "re.Match[str]") -> str:
    letter = found[0]
    return " " if letter in "\t\r\n" else json.dumps(letter)[1:-1]
