"""How much of bodies a message may hold, so that what is said next does not wait long behind it (docs/protocol.md §7).

Pure: the caller passes sizes and times. On a fast line a message is as large as it may be, for that costs least.
"""

from typing import Final

from tunnel.frames import KIB, MAX_MESSAGE

LEAST: Final = 16 * KIB
_PATIENCE: Final = 0.01  # seconds of the line that one message may take
_BLOCKED: Final = 0.001  # a send that takes longer has waited for the line: there is a queue


class Pace:
    """Watches the messages of one link. The line's rate is known from one wait for it to the next."""

    __slots__ = ("_bytes", "_since", "limit")

    def __init__(self) -> None:
        self.limit = MAX_MESSAGE
        self._bytes = 0  # since
        self._since: float | None = None  # the end of the latest wait, as long as there was always more to send

    def sent(self, size: int, began: float, now: float) -> bool:
        """Note that `size` bytes were handed over from `began` to `now` (monotonic seconds); tells of a new limit."""
        self._bytes += size
        before = self.limit
        if now - began >= _BLOCKED:
            seconds = now - (began if self._since is None else self._since)
            self.limit = max(LEAST, min(MAX_MESSAGE, int(self._bytes / seconds * _PATIENCE)))
            self._since, self._bytes = now, 0
        elif self._bytes > MAX_MESSAGE:  # more than any buffer holds went without a wait
            self.limit = MAX_MESSAGE
        return self.limit != before

    def rest(self) -> None:
        """Note that there is nothing to send: time that passes now says nothing about the line."""
        self._since, self._bytes = None, 0
