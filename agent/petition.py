"""Asks a gateway for a new certificate: one stream, one answer (docs/protocol.md §11.2). Knows no files."""

import asyncio
from enum import Enum
from typing import Final

from agent.event_courier import EventLink
from certs.enrollment import MAX_GRANT_BYTES
from tunnel.errors import ErrorCode, Progress, StreamRefused
from tunnel.heads import Pairs, RequestHead, ResponseHead
from tunnel.streams import Stream

TARGET: Final = b"/v1/renew"
ANSWER_SECONDS: Final = 30.0
GRANTED: Final = 200


class Refusal(Enum):
    """Why there is no new certificate: (does it last until a person acts, what people read)."""

    UNKNOWN = (
        True,
        "the gateway has revoked this instance, or does not have it on record: ask its operator, and enroll again",
    )
    NOT_UNDERSTOOD = (True, "the gateway did not understand the request for a new certificate: update it")
    NO_KEY = (True, "the gateway has no key of its CA: its operator renews this agent's certificate by hand")
    LATER = (False, "the gateway cannot renew certificates now")

    @property
    def is_lasting(self) -> bool:
        """Whether asking again soon is of no use."""
        return self.value[0]


_REFUSALS: Final = {
    400: Refusal.NOT_UNDERSTOOD,
    403: Refusal.UNKNOWN,
    404: Refusal.NOT_UNDERSTOOD,
    413: Refusal.NOT_UNDERSTOOD,
    501: Refusal.NO_KEY,
}


class PetitionRefused(Exception):
    """No certificate: `refusal` says why, `detail` what was seen."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(refusal, detail)
        self.refusal = refusal
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.refusal.value[1]} ({self.detail})"


async def petition(link: EventLink, csr: bytes) -> bytes:
    """Return the grant that the gateway gives for this signing request.

    Raises:
        PetitionRefused: it gives none, or no answer.
        TimeoutError: not within half a minute.
    """
    receiver = _Petition()
    head = RequestHead(b"POST", TARGET, [], len(csr), round(ANSWER_SECONDS * 1000))
    try:
        stream = receiver.stream = link.open_stream(head, receiver)
        stream.send_data(csr, end=True)
    except StreamRefused as refused:
        raise PetitionRefused(Refusal.LATER, str(refused)) from None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await receiver.ended.wait()
    finally:
        stream.reset(ErrorCode.CANCEL)
    if receiver.status != GRANTED or receiver.problem:
        refusal = _REFUSALS.get(receiver.status, Refusal.LATER)
        raise PetitionRefused(refusal, receiver.problem or f"it answered {receiver.status}")
    return bytes(receiver.body)


class _Petition:
    """The receiver of the one stream."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.status = 0
        self.body = bytearray()
        self.problem = ""
        self.ended = asyncio.Event()

    def on_response(self, head: ResponseHead) -> None:
        """Note the verdict."""
        self.status = head.status

    def on_data(self, data: bytes) -> None:
        """Collect the grant, as far as one may be long."""
        if self.stream is None:
            return
        if len(self.body) + len(data) > MAX_GRANT_BYTES:
            self.problem = "its answer is too long"
            self.stream.reset(ErrorCode.CANCEL)
            self.ended.set()
            return
        self.body += data
        self.stream.consume(len(data))

    def on_end(self, trailers: Pairs) -> None:
        """The answer is whole."""
        del trailers
        self.ended.set()

    def on_reset(self, code: ErrorCode, progress: Progress, detail: str) -> None:
        """There is no answer."""
        del progress
        self.problem = f"{code.name.lower()} {detail}".rstrip()
        self.ended.set()

    def on_writable(self) -> None:
        """Everything was queued at once."""
