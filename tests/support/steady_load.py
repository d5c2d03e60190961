"""A steady stream of callers from a thread of its own, while a test restarts and breaks things.

    with SteadyLoad(stack.api_port, token, per_second=50) as load:
        agent.stop()
    load.failed()                                   # what callers saw that was no 200
    load.check_arrivals(jira)                       # no write twice, none lost

GET and POST in turns, each on a socket of its own and with a marker of its own, sent by the clock and not after the last
answer: a restart that holds callers up does not make them fewer.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Self

from tests.support.caller import Caller
from tests.support.fake_jira import JiraProcess

PATH = "/rest/api/2/test/sleep"
REFUSED = (0, "refused", "no")  # nothing listened
CUT = (0, "cut", "unknown")  # the socket ended before the answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one caller saw: `saw` is status, slug and processed."""

    number: int
    method: str
    saw: tuple[int, str, str]
    has_retry_after: bool
    sent_at: float
    seconds: float

    @property
    def is_fine(self) -> bool:
        """Whether it was Jira's answer."""
        return self.saw == (200, "", "")


class SteadyLoad:
    """Requests to connection `hq`, `per_second`, each of which takes Jira `jira_seconds`."""

    def __init__(self, port: int, token: str, *, per_second: float = 50.0, jira_seconds: float = 0.05) -> None:
        self.outcomes: list[Outcome] = []
        self._caller = Caller(port, token)
        self._per_second = per_second
        self._path = f"{PATH}/{jira_seconds:g}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Send no more, and wait for the answers that are due."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a caller hangs"

    @property
    def sent(self) -> int:
        """How many have their outcome."""
        return len(self.outcomes)

    async def _run(self) -> None:
        began = time.monotonic()
        number = 0
        async with asyncio.TaskGroup() as tasks:
            while not self._stop.is_set():
                tasks.create_task(self._send(number))
                number += 1
                await asyncio.sleep(max(0.0, began + number / self._per_second - time.monotonic()))

    async def _send(self, number: int) -> None:
        method = "POST" if number % 2 else "GET"
        target = f"/jira/hq{self._path}?marker={number}."
        began = time.monotonic()
        retry_after = False
        try:
            answer = await self._caller.send(method, target, body=b"x" if number % 2 else None)
        except ConnectionRefusedError:
            saw = REFUSED
        except Exception:  # however a socket may end
            saw = CUT
        else:
            saw = (answer.status, answer.header("Tunnel-Error") or "", answer.header("Tunnel-Processed") or "")
            retry_after = answer.header("Retry-After") is not None
        self.outcomes.append(Outcome(number, method, saw, retry_after, began, time.monotonic() - began))

    # What a test asks afterwards

    def summary(self) -> dict[tuple[str, tuple[int, str, str]], int]:
        """How often callers saw what, by method."""
        return dict(Counter((each.method, each.saw) for each in self.outcomes))

    def failed(self) -> list[Outcome]:
        """What was not Jira's answer."""
        return [each for each in self.outcomes if not each.is_fine]

    def check_arrivals(self, jira: JiraProcess) -> None:
        """No POST reached Jira twice, a GET once more at most; what was answered arrived, what was refused did not."""
        arrived = Counter(seen["target"].rpartition("marker=")[2] for seen in jira.requests(PATH))
        for each in self.outcomes:
            count = arrived[f"{each.number}."]
            what = f"{each} arrived {count} times"
            assert count <= (1 if each.method == "POST" else 2), what
            if each.is_fine:
                assert count >= 1, what
            elif each.saw[2] == "no":
                assert count == 0, what
