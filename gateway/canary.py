"""The canary of one link: when the next one is due, since when one is out, how long the last took.

What it means that none comes back is decided by whoever looks at all links (gateway.canary_watch).
"""

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from tunnel.errors import ErrorCode, Progress, StreamRefused
from tunnel.heads import NO_BODY, Pairs, RequestHead, ResponseHead
from tunnel.streams import Stream, StreamReceiver

CANARY: Final = b"canary"
TARGET: Final = b"/v1/canary"


class Opener(Protocol):
    """What a canary needs of a link."""

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> Stream:
        """Open a stream; raises `tunnel.errors.StreamRefused`."""


class Canary:
    """Receiver of one link's canaries, of which at most one is out. `clock` is monotonic, in seconds."""

    __slots__ = ("_clock", "_stream", "due_at", "sent_at", "took")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._stream: Stream | None = None
        self.due_at = 0.0
        self.sent_at: float | None = None  # of the one that is out
        self.took: float | None = None  # of the last answer

    def __repr__(self) -> str:
        return f"<Canary sent_at={self.sent_at} took={self.took}>"

    @property
    def is_out(self) -> bool:
        """Whether a stream is open on the link that is no request."""
        return self.sent_at is not None

    def send(self, link: Opener, now: float, patience: float) -> None:
        """Send one that must be back within `patience`; where no stream can be opened now, the next one will do."""
        head = RequestHead(b"HEAD", TARGET, [], NO_BODY, int(patience * 1000), {CANARY: b""})
        self.sent_at = now
        try:
            self._stream = link.open_stream(head, self)
        except StreamRefused:
            self.sent_at = None

    def _came_back(self) -> None:
        stream, self._stream = self._stream, None
        if self.sent_at is not None:
            self.took, self.sent_at = self._clock() - self.sent_at, None
        if stream is not None:
            stream.reset(ErrorCode.NO_ERROR)  # an agent that does not end its answer must not pile up streams

    # The stream's side (tunnel.streams.StreamReceiver)

    def on_response(self, head: ResponseHead) -> None:
        """Whatever it says: streams get answers."""
        del head
        self._came_back()

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """A refusal is an answer too; that the link is gone is none."""
        del progress, detail
        if code is ErrorCode.LINK_LOST:
            self.sent_at = self._stream = None
        else:
            self._came_back()

    def on_data(self, data: bytes) -> None:
        """Not called: the answer to a HEAD has no body."""

    def on_end(self, trailers: Pairs) -> None:
        """The answer came with its head."""

    def on_writable(self) -> None:
        """Nothing is written but a head."""
