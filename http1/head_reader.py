"""Collect the bytes of one head, and let llhttp read its field lines.

Pure. llhttp sees exactly one whole head and nothing after it: bodies, pipelined requests and upgrades therefore
cannot move it out of step, and limits are checked before anything is parsed. Of a request two parsers must agree: the
start line is matched by our grammar and again by llhttp. The field lines of an answer are split by our grammar alone,
which accepts less than llhttp (tests/properties/test_http1_parsers.py): they differ every time, and a callback for each
costs more than all the rest.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import httptools

from http1.errors import MalformedMessage
from http1.fields import SPECIAL, Framing
from http1.grammar import FIELD_LINES, skip_empty_lines

if TYPE_CHECKING:
    from http1.messages import Headers

END_OF_HEAD: Final = b"\r\n\r\n"
_MAX_SORTINGS: Final = 128  # of up to 64 KiB each, when a server makes up names


class HeadBuffer:
    """Bytes until the empty line that ends a head."""

    __slots__ = ("_searched", "unfinished")

    def __init__(self) -> None:
        self.unfinished = bytearray()  # the bytes of the head so far
        self._searched = 0

    def __len__(self) -> int:
        return len(self.unfinished)

    @property
    def searched(self) -> int:
        """Up to where `unfinished` was known before the last `take`."""
        return self._searched

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add bytes; return (head with its empty line, what follows it) once the head is whole."""
        if not self.unfinished:
            if data.startswith(b"\r\n"):
                data = data[skip_empty_lines(data) :]
            end = data.find(END_OF_HEAD)
            if end >= 0:
                return (data, b"") if end + 4 == len(data) else (data[: end + 4], data[end + 4 :])
        return self._take_slowly(data)

    def _take_slowly(self, data: bytes) -> tuple[bytes, bytes] | None:
        self._searched = len(self.unfinished)
        self.unfinished += data
        if self.unfinished.startswith(b"\r\n"):  # the empty line came in two pieces
            del self.unfinished[: skip_empty_lines(self.unfinished)]
        end = self.unfinished.find(END_OF_HEAD, max(0, self._searched - 3))
        if end < 0:
            return None
        whole = bytes(self.unfinished)
        self.unfinished.clear()
        return whole[: end + 4], whole[end + 4 :]


class FieldLines:
    """The field lines of one whole head: those for us (`headers`) and those of this hop (`framing`)."""

    __slots__ = ("complete", "framing", "headers")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.framing = Framing()
        self.complete = False

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """Sort one field line (called by llhttp)."""
        value = value.strip(b" \t") if value else b""
        lowered = name.lower()
        if lowered in SPECIAL:
            self.framing.add(lowered, value)
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that llhttp saw the end of the head."""
        self.complete = True


def read_fields(
    head: bytes, parser_class: type[httptools.HttpRequestParser | httptools.HttpResponseParser]
) -> FieldLines:
    """Read the field lines of one whole head. Raises MalformedMessage unless llhttp agrees that it is one."""
    lines = FieldLines()
    try:
        parser_class(lines).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # an upgrade is never accepted: the message is read as if it had not been asked for (RFC 9110 section 7.8)
    except httptools.HttpParserError as error:
        if isinstance(error.__context__, MalformedMessage):
            raise error.__context__ from None
        if not lines.complete:
            raise MalformedMessage(f"the head is malformed: {error}") from error
        # llhttp judged the framing fields after the end of the head; ours are judged by Framing, which is stricter.
    if not lines.complete:
        raise MalformedMessage("the head is malformed")
    return lines


def split_fields(block: bytes) -> "Headers":
    """Split the field lines of a whole head, without its start line and empty line. Raises MalformedMessage."""
    fields: Headers = FIELD_LINES.findall(block)
    # A match begins at the start of a line and ends with it: as many matches as lines are all of the block.
    if len(fields) != block.count(b"\n") or block[-1:] not in {b"\n", b""}:
        raise MalformedMessage("the head is malformed")
    if b" \r" in block or b"\t\r" in block:
        return [(name, value.rstrip(b" \t")) for name, value in fields]
    return fields


class Sorting(NamedTuple):
    """Where in a head the fields of this hop are, with their lower-case names, and where the others (None: all)."""

    special: tuple[tuple[int, bytes], ...]
    kept: tuple[int, ...] | None


@lru_cache(maxsize=_MAX_SORTINGS)
def sort_names(names: tuple[bytes, ...]) -> Sorting:
    """Sort the fields of a head by their names, once for all heads that have the same names in the same order."""
    lowered = [name.lower() for name in names]
    special = tuple((index, name) for index, name in enumerate(lowered) if name in SPECIAL)
    kept = tuple(index for index, name in enumerate(lowered) if name not in SPECIAL)
    return Sorting(special, kept if special else None)
