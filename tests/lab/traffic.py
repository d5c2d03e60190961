"""Callers who keep asking while the network misbehaves, and what is known of every one of their requests afterwards."""

import itertools
import threading
import time
from dataclasses import dataclass, field

from tests.support.callers import ask, bearer

PAUSE_SECONDS = 0.25
ASK_SECONDS = 70


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: when it began and ended, and what its caller got (status 0: no answer)."""

    method: str
    marker: str
    began: float
    ended: float
    status: int
    error: str = ""
    processed: str = ""


@dataclass(eq=False)
class Traffic:
    """Workers that GET and POST in turns. They live in the network namespace of the thread that starts them."""

    url: str
    token: str
    workers: int = 12
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self):
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._work) for _ in range(self.workers)]

    def start(self):
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Let every request come to its end, and begin none."""
        self._stop.set()
        for thread in self._threads:
            thread.join(ASK_SECONDS + 10)
            assert not thread.is_alive(), "a caller waits longer than any deadline"

    def back_after(self, moment, limit=30.0):
        """Return how long after `moment` a request succeeded that began after it; waits up to `limit` seconds."""
        while time.monotonic() < moment + limit:
            good = [each.ended for each in self.outcomes if each.began >= moment and each.status == 200]
            if good:
                return min(good) - moment
            time.sleep(0.05)
        raise AssertionError(f"no request succeeded within {limit:g} s: {self.outcomes[-3:]}")

    def failed(self, since=0.0, until=float("inf")):
        """Return the requests of a time that did not succeed."""
        return [each for each in self.outcomes if each.status != 200 and since <= each.began < until]

    def check_against(self, jira):
        """Nothing was sent to Jira twice, nothing that succeeded is missing, and what was told about the rest holds."""
        seen = jira.requests("/rest/api/2/test/sink")
        arrived = {}
        for each in seen:
            marker = each["target"].rpartition("=")[2]
            arrived[marker] = arrived.get(marker, 0) + 1
        for each in self.outcomes:
            times = arrived.get(each.marker, 0)
            assert times <= (1 if each.method == "POST" else 2), f"sent {times} times: {each}"
            assert times or each.status != 200, f"never reached Jira: {each}"
            assert not (times and each.processed == "no"), f"reached Jira, but the caller was told no: {each}"

    def _work(self):
        while not self._stop.is_set():
            number = next(self._numbers)
            self.outcomes.append(self._ask("POST" if number % 2 else "GET", f"m{number}."))
            self._stop.wait(PAUSE_SECONDS)

    def _ask(self, method, marker):
        began = time.monotonic()
        body = b"x" * 200 if method == "POST" else None
        try:
            target = f"/rest/api/2/test/sink?marker={marker}"
            reply = ask(self.url, method, target, body, [bearer(self.token)], timeout=ASK_SECONDS)
        except OSError:
            return Outcome(method, marker, began, time.monotonic(), 0)
        return Outcome(method, marker, began, time.monotonic(), reply.status, reply.error, reply.processed)
