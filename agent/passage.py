"""One record on its way to a gateway: a stream, a deadline, an outcome, each exactly once.

Knows what the answers mean (docs/protocol.md §11), and nothing of spools or links.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from agent.spool_records import SpoolRecord, StoredRecord
from http1.sweep import NEVER, Sweeper
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import Pairs, RequestHead, ResponseHead
from tunnel.streams import Stream

STREAM_SECONDS: Final = 20.0
SLOWEST_LINE: Final = 50_000  # bytes a second: a large webhook may take longer than a small one


class Outcome(Enum):
    """What became of a record; the value is the word for metrics."""

    CARRIED = "carried"
    AGAIN = "again"
    UNKNOWN_HOOK = "unknown_hook"
    BAD_SIGNATURE = "bad_signature"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    UNSENDABLE = "unsendable"


_OUTCOMES = {
    204: Outcome.CARRIED,
    400: Outcome.BAD_REQUEST,
    403: Outcome.BAD_SIGNATURE,
    404: Outcome.UNKNOWN_HOOK,
    413: Outcome.TOO_LARGE,
}

Ended = Callable[[StoredRecord, Outcome, str], None]


class Passage:
    """The receiver of one stream, and an item of the sweeper. `ended` is called once."""

    __slots__ = ("_ended", "_is_over", "_status", "_stored", "_stream", "_sweeper", "deadline")

    def __init__(self, stored: StoredRecord, ended: Ended, sweeper: Sweeper) -> None:
        self._stored = stored
        self._ended = ended
        self._sweeper = sweeper
        self._stream: Stream | None = None
        self._status = 0
        self._is_over = False
        self.deadline = NEVER

    def begin(self, stream: Stream) -> None:
        """Send the record; the whole body is queued at once, it is in our memory anyway."""
        self._stream = stream
        self.deadline = self._sweeper.now + seconds_for(self._stored.record)
        self._sweeper.add(self)
        if self._stored.record.body:
            stream.send_data(self._stored.record.body, end=True)

    def fail(self, detail: str) -> None:
        """End it; the record goes again."""
        self.end(Outcome.AGAIN, detail)

    def take_back(self) -> None:
        """End it; what is not sent yet is not sent, and the record goes again."""
        self._close(ErrorCode.CANCEL)
        self.fail("taken back")

    def give_up(self) -> None:
        """End it without telling anybody: the agent stops."""
        self._is_over = True
        self._close(ErrorCode.CANCEL)

    def expire(self, now: float) -> None:
        """No answer came in time."""
        del now
        self._close(ErrorCode.DEADLINE)
        self.fail("no answer in time")

    def end(self, outcome: Outcome, detail: str) -> None:
        """Tell the outcome, once."""
        self._sweeper.discard(self)
        if not self._is_over:
            self._is_over = True
            self._ended(self._stored, outcome, detail)

    # The stream calls these.

    def on_response(self, head: ResponseHead) -> None:
        """Note the verdict."""
        self._status = head.status

    def on_data(self, data: bytes) -> None:
        """There should be none; what comes is thrown away."""
        if self._stream is not None:
            self._stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """The verdict counts."""
        del trailers
        self._close(ErrorCode.CANCEL)  # an answer that came before the whole body was sent
        self.end(_OUTCOMES.get(self._status, Outcome.AGAIN), f"the gateway answered {self._status}")

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """No verdict."""
        del progress
        self.fail(f"{code.name.lower()} {detail}".rstrip())

    def on_writable(self) -> None:
        """Everything was queued at once."""

    def _close(self, code: ErrorCode) -> None:
        self._sweeper.discard(self)
        if self._stream is not None:
            self._stream.reset(code, Progress.SENT)


def seconds_for(record: SpoolRecord) -> float:
    """Return how long a record may take to be answered."""
    return STREAM_SECONDS + len(record.body) / SLOWEST_LINE


def request_of(record: SpoolRecord, now_ms: int) -> RequestHead:
    """Return the request that carries a record (docs/protocol.md §11)."""
    meta = {b"event-id": record.event_id.encode(), b"sent-at": b"%d" % now_ms}
    if not record.is_gap:
        meta |= {b"received-at": b"%d" % record.received_at, b"query": record.query}
    timeout = round(seconds_for(record) * 1000)
    return RequestHead(b"POST", record.target, record.headers, len(record.body), timeout, meta)
