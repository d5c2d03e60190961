"""Streams that an agent opens: none are in use yet, so each is refused without harm to its link."""

from tunnel.errors import ErrorCode, Progress
from tunnel.heads import Pairs, RequestHead, ResponseHead
from tunnel.streams import Stream, StreamReceiver


class RefusedStream:
    """The receiver of a stream that was reset at once; nothing is called any more."""

    def on_response(self, head: ResponseHead) -> None:
        """Not called."""

    def on_data(self, data: bytes) -> None:
        """Not called."""

    def on_end(self, trailers: Pairs) -> None:
        """Not called."""

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """Not called."""

    def on_writable(self) -> None:
        """Not called."""


def refuse_stream(stream: Stream, head: RequestHead) -> StreamReceiver:
    """Refuse a stream of an agent (tunnel.session.Accept)."""
    del head
    stream.reset(ErrorCode.BAD_REQUEST, Progress.NOT_SENT, "this gateway serves no requests of agents")
    return RefusedStream()
