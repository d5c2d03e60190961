"""`/triggers/{name}/events`: one page of a trigger's deliveries, now or when there are some, or a stream of them.

Both go on after a cursor that the reader keeps. An answer that has begun can only be broken off: a reader asks again
after the last cursor it has. Memory is bounded by the feed's pages; the next is read when the last was taken.
"""

import asyncio
from asyncio import get_running_loop
from collections.abc import Collection
from typing import Final

import structlog
from aiohttp import web

from gateway.errors import BAD_REQUEST, OVERLOADED, UNAUTHENTICATED
from gateway.events.envelope import compose
from gateway.events.feed import Reader, TooManyReaders
from gateway.management.office import Visit
from gateway.management.problems import declined
from gateway.management.trigger_models import EventQuery
from gateway.operations.trigger_views import as_json
from gateway.store import Delivery, NotFound, Scope, State, StoreError
from gateway.triggers import TriggerEntry

log = structlog.get_logger()

STREAM: Final = "text/event-stream"
STREAM_PAGE: Final = 100
STREAM_PAGE_BYTES: Final = 128 << 10
COMMENT_SECONDS: Final = 15.0
CHECK_SECONDS: Final = 2.0
SEND_SECONDS: Final = 90.0
RETRY_MS: Final = 1000


async def read(visit: Visit) -> web.StreamResponse:
    """Answer with events: in one page, or as a stream when that is what the request accepts."""
    trigger = _trigger(visit)
    try:
        with visit.office.feed.reading(trigger.id, visit.grant.name) as reader:
            reading = Reading(visit, trigger, reader)
            if _wants_stream(visit.request):
                return await reading.stream(_last_event_id(visit.request))
            return await reading.page()
    except TooManyReaders:
        raise declined(OVERLOADED, "This token reads events as often at once as one token may; try again.") from None


class Reading:
    """One request for events of one trigger."""

    def __init__(self, visit: Visit, trigger: TriggerEntry, reader: Reader) -> None:
        query: EventQuery = visit.query
        self._visit = visit
        self._trigger = trigger
        self._reader = reader
        self._query = query
        self._after = query.after
        self._states: Collection[State] = {State(word) for word in query.state.split(",")} if query.state else ()

    def __repr__(self) -> str:
        return f"<Reading {self._trigger.name} after {self._after}>"

    def goes_on(self) -> bool:
        """Say whether somebody who may still waits for what is to come."""
        transport = self._visit.request.transport
        if transport is None or transport.is_closing() or self._visit.office.feed.is_closed:
            return False
        subscribed = self._visit.office.directory().subscriptions.trigger(self._trigger.id)
        return subscribed is not None and self._visit.is_admitted()

    async def page(self) -> web.StreamResponse:
        """Answer with one page as soon as there is one."""
        found = await self._wait_for_page()
        if not self._visit.is_admitted():
            raise declined(UNAUTHENTICATED, "The gateway token is unknown or expired.")
        entries = b",".join(as_json(delivery, self._trigger.name) for delivery in found)
        following = found[-1].number if found else self._after
        response = web.Response(
            body=b'{"items":[%b],"next":"%d"}' % (entries, following), content_type="application/json"
        )
        del found, entries
        try:  # here and not by the caller: the feed counts what we hold until it was taken
            async with asyncio.timeout(SEND_SECONDS):
                await response.prepare(self._visit.request)
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            self._break_off()
        return response

    async def _wait_for_page(self) -> list[Delivery]:
        deadline = get_running_loop().time() + self._query.wait
        while True:
            left = deadline - get_running_loop().time()
            wait = max(0.0, min(CHECK_SECONDS, left))
            found = await self._reader.page(self._after, limit=self._query.limit, states=self._states, wait=wait)
            if found or left <= CHECK_SECONDS or not self.goes_on():
                return found

    async def stream(self, last_event_id: int | None) -> web.StreamResponse:
        """Send events as they become durable, until the gateway stops or the reader or its right to read is gone."""
        if last_event_id is not None:
            self._after = last_event_id
        response = web.StreamResponse(headers={"Content-Type": STREAM, "X-Accel-Buffering": "no"})
        try:
            await response.prepare(self._visit.request)
            await self._send(response, b"retry: %d\n\n" % RETRY_MS)  # and with it the head of the answer
            await self._run(response)
            await response.write_eof()
        except (StoreError, TimeoutError, ConnectionError) as error:
            log.info("event_stream_broken", trigger=self._trigger.name, after=self._after, reason=str(error))
            self._break_off()
        return response

    async def _run(self, response: web.StreamResponse) -> None:
        said_at = get_running_loop().time()
        while self.goes_on():
            silent = get_running_loop().time() - said_at
            if silent >= COMMENT_SECONDS:
                await self._send(response, b": still here\n\n")
                said_at, silent = said_at + silent, 0.0
            found = await self._reader.page(
                self._after,
                limit=STREAM_PAGE,
                states=self._states,
                max_bytes=STREAM_PAGE_BYTES,
                wait=min(CHECK_SECONDS, COMMENT_SECONDS - silent),
            )
            for delivery in found:
                if not self.goes_on():
                    return
                await self._send(response, frame(delivery, self._trigger.name))
                self._after = delivery.number
            if found:
                said_at = get_running_loop().time()

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await response.write(data)

    def _break_off(self) -> None:
        transport = self._visit.request.transport
        if transport is not None:
            transport.abort()


def frame(delivery: Delivery, trigger_name: str) -> bytes:
    """Return a delivery as one server-sent event. Line ends in JSON are space between its parts, never in them."""
    kind = " ".join(delivery.event.type.split())
    data = compose(delivery, trigger_name).replace(b"\r", b" ").replace(b"\n", b" ")
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (delivery.number, kind.encode(), data)


def _trigger(visit: Visit) -> TriggerEntry:
    """Return the trigger that is asked for; one of another's connection is as good as none."""
    found = visit.office.directory().subscriptions.trigger(visit.name)
    grant = visit.grant
    if found is None or (Scope.ADMIN not in grant.scopes and found.row.connection not in grant.connections):
        raise NotFound("trigger", visit.name)
    return found


def _wants_stream(request: web.Request) -> bool:
    accepted = ",".join(request.headers.getall("Accept", [])).lower()
    return STREAM in accepted and "application/json" not in accepted


def _last_event_id(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise declined(BAD_REQUEST, "Last-Event-ID is no cursor of ours.")
    return int(text)
