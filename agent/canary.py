"""Answers the gateway's canary: the proof that streams on this link get somewhere (docs/protocol.md §8.1).

It is answered by the sweeper and not on arrival, so that it tells of the loop, of the deadlines of requests and of the
queue towards Jira, and not only of whoever reads frames. Knows nothing of policy, pause or limits.
"""

from agent.jira_side import JiraSide
from http1.messages import Headers
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import ResponseHead
from tunnel.streams import Stream

CANARY = b"canary"
"""The meta that makes a request one."""
NO_CONTENT = 204


class Canary:
    """One canary: receiver of its stream, and an item of the sweeper that is due at once."""

    __slots__ = ("_jira", "_stream", "deadline")

    def __init__(self, stream: Stream, jira: JiraSide) -> None:
        self._stream = stream
        self._jira = jira
        self.deadline = 0.0
        jira.sweeper.add(self)

    def expire(self, now: float) -> None:
        """Answer, unless requests wait that could go: then look again at the next sweep."""
        del now
        if not self._jira.protection.is_stuck:
            self._jira.sweeper.discard(self)
            self._stream.respond(ResponseHead(NO_CONTENT, []), end=True)

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """Nobody waits for the answer any more."""
        del code, progress, detail
        self._jira.sweeper.discard(self)

    def on_response(self, head: ResponseHead) -> None:
        """Not called: only the opener of a stream gets an answer."""

    def on_data(self, data: bytes) -> None:
        """Not called: a canary has no body."""

    def on_end(self, trailers: Headers) -> None:
        """The request is complete, as it was from its head on."""

    def on_writable(self) -> None:
        """Nothing is written but a head."""
