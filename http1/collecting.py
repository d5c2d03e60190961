"""Collects the body of one request, as far as it is allowed to grow, and then calls back. Answers nothing itself.

Owns the bytes until `done`; the application decides what to answer, and gives the room back with `release` once it has
let go of them.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from http1.exchange import Exchange, ExchangeReceiver
from http1.messages import Headers


class Refusal(Enum):
    """Why a body is not collected."""

    TOO_LARGE = auto()
    NO_ROOM = auto()


class Room(Protocol):
    """Where the bytes of bodies count."""

    def take(self, size: int) -> bool:
        """Take room for `size` more bytes; False when there is none, and then nothing was taken."""

    def give_back(self, size: int) -> None:
        """Return room that was taken."""


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


class SharedRoom:
    """A room of which nobody gets more than `each`: who holds bodies back shuts out nobody but himself."""

    def __init__(self, limit: int, each: int) -> None:
        self.held: Counter[str] = Counter()
        self._room = BodyRoom(limit)
        self._each = each

    def __repr__(self) -> str:
        return f"<SharedRoom {self._room.held}/{self._room.limit} by {len(self.held)}>"

    def of(self, name: str) -> "Share":
        """Return the room that one of them has."""
        return Share(self, name)

    def take(self, name: str, size: int) -> bool:
        """Take room for somebody; False when his share or the whole is used up."""
        if self.held[name] + size > self._each or not self._room.take(size):
            return False
        self.held[name] += size
        return True

    def give_back(self, name: str, size: int) -> None:
        """Return room that somebody took."""
        self._room.give_back(size)
        self.held[name] -= size
        if not self.held[name]:
            del self.held[name]


class Share:
    """What one of those has who share a room (a `Room`)."""

    __slots__ = ("_name", "_shared")

    def __init__(self, shared: SharedRoom, name: str) -> None:
        self._shared = shared
        self._name = name

    def take(self, size: int) -> bool:
        """As Room."""
        return self._shared.take(self._name, size)

    def give_back(self, size: int) -> None:
        """As Room."""
        self._shared.give_back(self._name, size)


class CollectedBody:
    """The receiver of one exchange: `return CollectedBody(...).begin()` in `Application.begin`.

    Exactly one of `done`, `refused` and `gone` is called first. After `done` there may still be `gone`, while the
    answer is not finished; after `refused` nothing comes any more.
    """

    __slots__ = ("_body", "_done", "_exchange", "_gone", "_is_over", "_limit", "_refused", "_room", "size")

    def __init__(
        self,
        exchange: Exchange,
        limit: int,
        done: Callable[[bytes], None],
        refused: Callable[[Refusal], None],
        *,
        gone: Callable[[], None] = lambda: None,
        room: Room | None = None,
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
        self._body = bytearray()  # not a list of pieces: those of two bytes would cost forty each
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
        self._body.clear()
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
            self._body += data

    def on_body_end(self, trailers: Headers) -> None:
        """Hand the body over."""
        del trailers  # they may travel with a chunked body, and mean nothing here
        if self._is_over:
            return
        self._is_over = True
        body = bytes(self._body)
        self._body.clear()
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
