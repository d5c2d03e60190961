"""Field lines that came before, byte for byte, with what was read from them.

A client sends nearly the same head again and again: only the request line differs. What its field lines mean is a pure
function of their bytes, so it is read once and found again, by all sockets of a listener (decision 0025). Bounded in
number and size, and forgotten every few seconds, for the lines hold callers' secrets.
"""

from typing import Any, Final

from http1.messages import NO_BODY, Headers

MOST: Final = 256
LONGEST: Final = 2048
KEPT_SECONDS: Final = 10.0


class FieldSet:
    """The headers that many requests have in common; the same object for all of them, so nothing in it is changed.

    `derived` is the application's: what it worked out from the headers alone. `lines` is how they are written
    (http1.encoding). `body`, `host`, `expects` and `keeps_alive`, of a request that came, are those of `RequestHead`.
    """

    __slots__ = ("body", "derived", "expects", "headers", "host", "keeps_alive", "lines")

    def __init__(
        self,
        headers: Headers,
        body: int = NO_BODY,
        host: bytes = b"",
        *,
        keeps_alive: bool = True,
        expects: bool = False,
    ) -> None:
        self.headers = headers
        self.body = body
        self.host = host
        self.keeps_alive = keeps_alive
        self.expects = expects
        self.derived: Any = None
        self.lines: bytes | None = None

    def __repr__(self) -> str:
        return f"<FieldSet of {len(self.headers)} headers>"


class KnownFields:
    """The field sets of one listener (an item of its sweeper)."""

    __slots__ = ("_sets", "deadline", "find")

    def __init__(self) -> None:
        self._sets: dict[bytes, FieldSet] = {}
        self.find = self._sets.get
        self.deadline = 0.0

    def __len__(self) -> int:
        return len(self._sets)

    def keep(self, block: bytes, fields: FieldSet) -> None:
        """Remember what a block of field lines means, unless it is long; a full memory is emptied first."""
        if len(block) > LONGEST:
            return
        if len(self._sets) >= MOST:
            self._sets.clear()
        self._sets[block] = fields

    def expire(self, now: float) -> None:
        """Forget everything."""
        self._sets.clear()
        self.deadline = now + KEPT_SECONDS
