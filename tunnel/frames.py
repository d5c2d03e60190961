"""The frame layer: types, flags, limits and the bytes of every frame but HEADERS and TRAILERS (those: heads.py).

Encoders return a whole frame, decoders take a payload. Nothing here knows a state.
Decoders raise RemoteProtocolError and nothing else, whatever the bytes (tests/properties/test_frames.py).
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from tunnel.errors import ErrorCode, LocalProtocolError, Progress, RemoteProtocolError

KIB: Final = 1024
MAX_PAYLOAD: Final = 64 * KIB
MAX_MESSAGE: Final = 256 * KIB
MAX_DETAIL: Final = KIB
MAX_SOFTWARE: Final = 256
MAX_CREDIT: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**32 - 1
VERSIONS: Final = (1,)  # what this code speaks, newest first

HEADER: Final = Struct(">BBII")  # type, flags, stream, length
HEADER_BYTES: Final = HEADER.size
END_STREAM: Final = 1
ACK: Final = 1


class FrameType(IntEnum):
    """docs/protocol.md §2."""

    HELLO = 1
    SETTINGS = 2
    HEADERS = 3
    DATA = 4
    TRAILERS = 5
    WINDOW_UPDATE = 6
    RST_STREAM = 7
    PING = 8
    GOAWAY = 9


# Plain ints for the hot path: an attribute of an enum class costs several times a global.
DATA: Final = int(FrameType.DATA)
HEADERS: Final = int(FrameType.HEADERS)

_TLV = Struct(">HH")
_LENGTH = Struct(">H")
_U32 = Struct(">I")
_RESET = Struct(">HB")
_GO_AWAY = Struct(">IHI")
_WINDOW_UPDATE_FRAME = Struct(">BBIII")

_VERSIONS, _WINDOW, _STREAMS, _SOFTWARE = 1, 2, 3, 4  # keys of HELLO


@dataclass(frozen=True, slots=True)
class Hello:
    """What a side says about itself first: versions, credit for the peer's requests, streams it accepts."""

    versions: tuple[int, ...]
    initial_window: int
    max_streams: int
    software: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """The payload of RST_STREAM."""

    code: ErrorCode
    progress: Progress
    detail: str


@dataclass(frozen=True, slots=True)
class GoAway:
    """The payload of GOAWAY."""

    last_id: int
    code: ErrorCode
    retry_after_ms: int
    detail: str


def refuse(detail: str, code: ErrorCode = ErrorCode.PROTOCOL_ERROR) -> RemoteProtocolError:
    """Make the error for a peer that broke the protocol."""
    return RemoteProtocolError(code, detail)


def frame(kind: FrameType, payload: bytes, *, stream: int = 0, flags: int = 0) -> bytes:
    """Put a frame header before `payload`."""
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError(f"{kind.name} of {len(payload)} bytes is larger than {MAX_PAYLOAD}")
    return HEADER.pack(kind, flags, stream, len(payload)) + payload


def encode_hello(hello: Hello) -> bytes:
    """HELLO (docs/protocol.md §3)."""
    values = (
        (_VERSIONS, b"".join(_LENGTH.pack(version) for version in hello.versions)),
        (_WINDOW, _U32.pack(hello.initial_window)),
        (_STREAMS, _U32.pack(hello.max_streams)),
        (_SOFTWARE, _clip(hello.software, MAX_SOFTWARE)),
    )
    return frame(FrameType.HELLO, b"".join(_TLV.pack(key, len(value)) + value for key, value in values))


def decode_hello(payload: bytes) -> Hello:
    """Read HELLO; unknown keys are skipped."""
    values: dict[int, bytes] = {}
    offset = 0
    while offset < len(payload):
        key, value, offset = _tlv(payload, offset)
        if key in values:
            raise refuse(f"HELLO repeats key {key}")
        values[key] = value
    versions = values.get(_VERSIONS, b"")
    if not versions or len(versions) % 2:
        raise refuse("HELLO without versions")
    return Hello(
        versions=tuple(_LENGTH.unpack_from(versions, at)[0] for at in range(0, len(versions), 2)),
        initial_window=_limit(values, _WINDOW),
        max_streams=_limit(values, _STREAMS),
        software=_text(values.get(_SOFTWARE, b""), MAX_SOFTWARE),
    )


def _tlv(payload: bytes, offset: int) -> tuple[int, bytes, int]:
    start = offset + _TLV.size
    if start > len(payload):
        raise refuse("HELLO is cut")
    key, length = _TLV.unpack_from(payload, offset)
    if start + length > len(payload):
        raise refuse("HELLO is cut")
    return key, payload[start : start + length], start + length


def _limit(values: dict[int, bytes], key: int) -> int:
    value = values.get(key, b"")
    if len(value) != _U32.size:
        raise refuse(f"HELLO key {key} must be 4 bytes")
    return min(int.from_bytes(value), MAX_CREDIT)


def encode_settings(settings: dict[bytes, bytes]) -> bytes:
    """SETTINGS (docs/protocol.md §4.6)."""
    if any(len(field) > MAX_PAYLOAD - 1 for pair in settings.items() for field in pair):
        raise LocalProtocolError("a setting is larger than a frame")
    fields = (field for pair in settings.items() for field in pair)
    return frame(FrameType.SETTINGS, b"".join(_LENGTH.pack(len(field)) + field for field in fields))


def decode_settings(payload: bytes) -> dict[bytes, bytes]:
    """Read SETTINGS; a repeated key keeps its last value."""
    fields: list[bytes] = []
    offset = 0
    while offset < len(payload):
        start = offset + _LENGTH.size
        end = start + int.from_bytes(payload[offset:start])
        if end > len(payload):
            raise refuse("SETTINGS is cut")
        fields.append(payload[start:end])
        offset = end
    if len(fields) % 2:
        raise refuse("SETTINGS holds a key without a value")
    return dict(zip(fields[::2], fields[1::2], strict=True))


def encode_window_update(stream: int, increment: int) -> bytes:
    """WINDOW_UPDATE (docs/protocol.md §4.4)."""
    return _WINDOW_UPDATE_FRAME.pack(FrameType.WINDOW_UPDATE, 0, stream, _U32.size, increment)


def decode_window_update(payload: bytes) -> int:
    """The increment, at least 1."""
    increment = int.from_bytes(payload)
    if len(payload) != _U32.size or not increment:
        raise refuse("misshapen WINDOW_UPDATE")
    return increment


def encode_reset(stream: int, code: ErrorCode, progress: Progress, detail: str) -> bytes:
    """RST_STREAM (docs/protocol.md §4.5)."""
    payload = _RESET.pack(code, progress) + _clip(detail, MAX_DETAIL)
    return frame(FrameType.RST_STREAM, payload, stream=stream)


def decode_reset(payload: bytes) -> Reset:
    """Read RST_STREAM; what we do not know is read as INTERNAL and SENT, the careful reading."""
    if len(payload) < _RESET.size:
        raise refuse("RST_STREAM is cut")
    code, progress = _RESET.unpack_from(payload)
    known = Progress(progress) if progress <= Progress.ANSWERED else Progress.SENT
    return Reset(_code(code), known, _text(payload[_RESET.size :], MAX_DETAIL))


def encode_go_away(away: GoAway) -> bytes:
    """GOAWAY (docs/protocol.md §4.7)."""
    fixed = _GO_AWAY.pack(away.last_id, away.code, away.retry_after_ms)
    return frame(FrameType.GOAWAY, fixed + _clip(away.detail, MAX_DETAIL))


def decode_go_away(payload: bytes) -> GoAway:
    """Read GOAWAY."""
    if len(payload) < _GO_AWAY.size:
        raise refuse("GOAWAY is cut")
    last_id, code, retry_after_ms = _GO_AWAY.unpack_from(payload)
    return GoAway(last_id, _code(code), retry_after_ms, _text(payload[_GO_AWAY.size :], MAX_DETAIL))


def _code(value: int) -> ErrorCode:
    try:
        code = ErrorCode(value)
    except ValueError:
        return ErrorCode.INTERNAL
    return ErrorCode.INTERNAL if code is ErrorCode.LINK_LOST else code


def _clip(text: str, limit: int) -> bytes:
    """Encode for people: cut at `limit` bytes, never inside a character."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore").encode()


def _text(value: bytes, limit: int) -> str:
    if len(value) > limit:
        raise refuse(f"a text of {len(value)} bytes is longer than {limit}")
    return value.decode(errors="replace")
