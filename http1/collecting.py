"""Collects the body of one request, as far as it is allowed to grow, and then calls back. Answers nothing itself.

Owns the bytes until `done`; the application decides what to answer, and gives the room back with `release` once it has
let go of them.
"""

from collections.abc import Callable
from enum import Enum, auto

from http1.exchange import Exchange, ExchangeReceiver
from http1.messages import Headers


class Refusal(Enum):
    """Why a body is not collected."""

    TOO_LARGE = auto()
    NO_ROOM = auto()


class BodyRoom:
    """The bytes of bodies that one listener has in hand, whoever sent them: bounded, whatever arrives at once."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def __repr__(self) -> str:
        return f"<BodyRoom {self.held}/{self.limit}>"

    def take(self, size: int) -> bool:
        """Take room for `size` more bytes; False when there is none, and then nothing was taken."""
        if self.held + size > self.limit:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """Return room that was taken."""
        self.held -= size


class CollectedBody:
    """The receiver of one exchange: `return CollectedBody(...).begin()` in `Application.begin`.

    Exactly one of `done`, `refused` and `gone` is called first. After `done` there may still be `gone`, while the
    answer is not finished; after `refused` nothing comes any more.
    """

    __slots__ = ("_done", "_exchange", "_gone", "_is_over", "_limit", "_pieces", "_refused", "_room", "size")

    def __init__(
        self,
        exchange: Exchange,
        limit: int,
        done: Callable[[bytes], None],
        refused: Callable[[Refusal], None],
        *,
        gone: Callable[[], None] = lambda: None,
        room: BodyRoom | None = None,
    ) -> None:
        """Nothing is called before `begin`.

        Args:
            exchange: whose body it is.
            limit: bytes that the body may have.
            done: gets the whole body, empty when there is none.
            refused: the body is too large, or there is no room; answers the exchange. What still comes is discarded.
            gone: the caller hung up.
            room: shared with others; None when `limit` alone counts.
        """
        self._exchange = exchange
        self._limit = limit
        self._done = done
        self._refused = refused
        self._gone = gone
        self._room = room
        self._pieces: list[bytes] = []
        self._is_over = False  # done or refused
        self.size = 0

    def begin(self) -> ExchangeReceiver | None:
        """Return what the application returns: None when the head promised too much, and `refused` was called."""
        if self._exchange.request.body > self._limit:
            self._refuse(Refusal.TOO_LARGE)
            return None
        return self

    def release(self) -> None:
        """Give the room back: the body has left our memory. Harmless when repeated."""
        self._pieces.clear()
        if self._room is not None:
            self._room.give_back(self.size)
        self.size = 0

    def on_body(self, data: bytes) -> None:
        """Keep a piece, or refuse the whole."""
        if self._is_over:
            return
        if self.size + len(data) > self._limit:
            self._refuse(Refusal.TOO_LARGE)
        elif self._room is not None and not self._room.take(len(data)):
            self._refuse(Refusal.NO_ROOM)
        else:
            self.size += len(data)
            self._pieces.append(data)

    def on_body_end(self, trailers: Headers) -> None:
        """Hand the body over."""
        del trailers  # they may travel with a chunked body, and mean nothing here
        if self._is_over:
            return
        self._is_over = True
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._done(body)

    def on_writable(self) -> None:
        """Answers to collected bodies are short: nothing waits."""

    def on_disconnect(self) -> None:
        """Forget what was collected, unless it was handed over."""
        if not self._is_over:
            self._is_over = True
            self.release()
        self._gone()

    def _refuse(self, refusal: Refusal) -> None:
        self._is_over = True
        self.release()
        self._refused(refusal)
