"""Writes events as the programs do, and says `ACK <name>` for each that they would call durable: for power_cut.py.

`python -m tests.support.power_cut_writer spool|log FOLDER COUNT [NORMAL]`; NORMAL re-arms the trap of SQLite's
`synchronous`. Events come in bursts, so that several share a commit.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from agent import spool_file
from agent.spool import Spool
from agent.spool_records import webhook_record
from gateway.events.event_log import EventLog
from gateway.store import NewEvent, engine
from gateway.store.event_store import open_event_store

BURST = 5


def acknowledge(name: str) -> None:
    os.write(1, f"ACK {name}\n".encode())


async def in_bursts(count: int, offer: Callable[[str, Callable[[], None]], None]) -> None:
    """Offer events, each burst after the one before is durable."""
    for start in range(0, count, BURST):
        durable = asyncio.Event()
        left = BURST

        def done(name: str) -> None:
            nonlocal left
            acknowledge(name)
            left -= 1
            if not left:
                durable.set()  # noqa: B023 - called within this turn of the loop only

        for number in range(start, start + BURST):
            offer(f"event-{number}", lambda name=f"event-{number}": done(name))  # type: ignore[misc]
        async with asyncio.timeout(20):
            await durable.wait()


async def write_spool(folder: Path, count: int) -> None:
    spool = Spool(folder, 1 << 30, lambda: 1)
    await spool.open()

    def offer(name: str, done: Callable[[], None]) -> None:
        record = webhook_record(name, bytes(32), 1, b"", [], b"x" * 3000)
        spool.append(record, lambda failure: done() if failure is None else None)

    await in_bursts(count, offer)
    os._exit(0)  # as abrupt as a program can end


async def write_log(folder: Path, count: int) -> None:
    async with open_event_store(folder / "gateway.db") as store, asyncio.TaskGroup() as tasks:
        log = EventLog(store)
        tasks.create_task(log.run())

        def offer(name: str, done: Callable[[], None]) -> None:
            event = NewEvent("hq", name, "jira:issue_updated", datetime.now(UTC), (1, 2), b"x" * 3000)
            log.offer(event, lambda made: done() if made else None)

        await in_bursts(count, offer)
        os._exit(0)


WRITERS: dict[str, Callable[[Path, int], Awaitable[None]]] = {"spool": write_spool, "log": write_log}

if __name__ == "__main__":
    kind, folder, count, *trap = sys.argv[1:]
    if trap:
        spool_file.SYNCHRONOUS = trap[0]
        engine._PRAGMAS = tuple(pragma.replace("=FULL", f"={trap[0]}") for pragma in engine._PRAGMAS)
    asyncio.run(WRITERS[kind](Path(folder), int(count)))  # type: ignore[arg-type]
