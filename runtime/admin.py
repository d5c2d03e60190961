"""The read-only pages of a program: ``/healthz /readyz /status /metrics``, on an address of their own.

Knows nothing of what the pages say: the program passes functions. No page changes anything, none needs a
login, none holds a secret.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import structlog

from http1.sweep import Sweeper
from runtime.address import Address
from runtime.answering import JSON, Answer, Answers, Handler, Question, serve_answers
from runtime.configuration import cannot_bind

log = structlog.get_logger()

METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"
TURN_SECONDS: Final = 0.002
"""How long the making of a page holds the loop."""


@dataclass(frozen=True)
class Pages:
    """What the pages show. `ready` returns None, or in one line why the program cannot serve; `metrics` pieces."""

    ready: Callable[[], str | None]
    status: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], Iterable[str]]


async def serve_admin(
    listen: Address, pages: Pages, variable: str, sweeper: Sweeper, *, started: Callable[[], None] = lambda: None
) -> None:
    """Serve the pages on `listen` until cancelled; calls `started` once it listens.

    Raises `ConfigurationError` that names `variable` when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        # Our own socket: one that asyncio makes is lost, and stays open, when its start is cancelled.
        listening = socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        raise cannot_bind(variable, listen, error) from None

    def listens() -> None:
        log.info("admin_listening", address=str(Address(*listening.getsockname()[:2])))
        started()

    with listening:
        await serve_answers(listening, Answers(_handlers(pages), (b"GET", b"HEAD")), sweeper, listens)


def _handlers(pages: Pages) -> dict[bytes, Handler]:
    async def healthz(_: Question) -> Answer:
        return Answer("ok\n")

    async def readyz(_: Question) -> Answer:
        reason = pages.ready()
        return Answer((reason or "ready") + "\n", status=200 if reason is None else 503)

    async def status(_: Question) -> Answer:
        return Answer(json.dumps(dict(pages.status())), JSON)

    async def metrics(_: Question) -> Answer:
        return Answer(await _in_turns(pages.metrics()), METRICS)

    return {b"/healthz": healthz, b"/readyz": readyz, b"/status": status, b"/metrics": metrics}


async def _in_turns(pieces: Iterable[str]) -> str:
    """Join pieces, and let others have the loop every TURN_SECONDS: with a thousand agents a page takes 60 ms."""
    found = []
    until = monotonic() + TURN_SECONDS
    for piece in pieces:
        found.append(piece)
        if monotonic() >= until:
            await asyncio.sleep(0)
            until = monotonic() + TURN_SECONDS
    return "".join(found)
