"""A streaming reader of multipart/form-data: parts of any size in constant memory."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import unquote


class MultipartError(Exception):
    """Not multipart/form-data as RFC 7578 describes it."""


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part says about itself."""

    name: str
    filename: str | None
    content_type: str


def boundary_of(content_type: str | None) -> bytes:
    """The boundary parameter. Raises MultipartError."""
    match = re.search(r'boundary="?([^";,]+)"?', content_type or "")
    if match is None:
        raise MultipartError("no boundary")
    return match[1].encode("latin-1")


async def read_parts(
    body: AsyncIterator[bytes], boundary: bytes, open_part: Callable[[PartHead], Callable[[bytes], None]]
) -> None:
    """Feed each part's bytes to the sink that `open_part` returns for it. Raises MultipartError when cut short."""
    mark = b"\r\n--" + boundary
    buffer = b"\r\n"
    sink: Callable[[bytes], None] = lambda _: None  # the preamble is dropped  # noqa: E731 - a null object
    async for data in body:
        buffer = buffer + data if buffer else data
        while (position := buffer.find(mark)) >= 0:
            rest = buffer[position + len(mark) :]
            if rest.startswith(b"--"):
                sink(buffer[:position])
                return
            end = rest.find(b"\r\n\r\n")
            if rest.startswith(b"\r\n") and end >= 0:
                sink(buffer[:position])
                sink = open_part(_parse_head(rest[:end]))
                buffer = rest[end + 4 :]
            elif rest[:2] in {b"", b"\r", b"-", b"\r\n"}:
                break  # more bytes will tell what follows the boundary
            else:
                sink(buffer[: position + len(mark)])  # it only began like the boundary
                buffer = rest
        else:
            keep = min(len(buffer), len(mark) - 1)
            sink(buffer[: len(buffer) - keep])
            buffer = buffer[len(buffer) - keep :]
    raise MultipartError("the body ended before the last boundary")


def _parse_head(raw: bytes) -> PartHead:
    fields = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    disposition = fields.get("content-disposition", "")
    return PartHead(
        name=_parameter(disposition, "name") or "",
        filename=_parameter(disposition, "filename"),
        content_type=fields.get("content-type", "application/octet-stream"),
    )


def _parameter(disposition: str, name: str) -> str | None:
    extended = re.search(rf"[; ]{name}\*=(?:utf-8|UTF-8)''([^;]+)", disposition)
    if extended is not None:
        return unquote(extended[1])
    quoted = re.search(rf'[; ]{name}="((?:[^"\\]|\\.)*)"', disposition)
    if quoted is not None:
        return quoted[1].replace('\\"', '"').replace("%22", '"')
    bare = re.search(rf"[; ]{name}=([^;]+)", disposition)
    return bare[1].strip() if bare is not None else None
