"""The streaming multipart reader gives the same parts however the bytes are cut."""

import pytest

from tests.support.fake_jira.multipart import MultipartError, boundary_of, read_parts

BODY = (
    b'preamble\r\n--B\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n--B\r\n'
    b'Content-Disposition: form-data; name="file"; filename="a b.txt"\r\nContent-Type: text/plain\r\n\r\n'
    b"one\r\n--Bless\r\n--\r\ntwo\r\n--B--\r\nepilogue"
)  # fmt: skip


async def parts_of(pieces):
    parts = []

    async def body():
        for piece in pieces:
            yield piece

    def open_part(head):
        parts.append((head, bytearray()))
        return parts[-1][1].extend

    await read_parts(body(), b"B", open_part)
    return [(head.name, head.filename, head.content_type, bytes(data)) for head, data in parts]


WHOLE = [
    ("note", None, "application/octet-stream", b"hi"),
    ("file", "a b.txt", "text/plain", b"one\r\n--Bless\r\n--\r\ntwo"),
]


async def test_parts_come_out_whatever_the_cut():
    for position in range(len(BODY)):
        assert await parts_of([BODY[:position], BODY[position:]]) == WHOLE
    assert await parts_of([BODY[i : i + 1] for i in range(len(BODY))]) == WHOLE


async def test_a_body_that_is_cut_short_is_an_error():
    with pytest.raises(MultipartError):
        await parts_of([BODY[:-20]])


async def test_an_extended_file_name_is_decoded():
    body = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''%C3%BC%20x.txt\r\n\r\n\r\n--B--"
    assert (await parts_of([body]))[0][1] == "ü x.txt"


def test_the_boundary_may_be_quoted():
    assert boundary_of('multipart/form-data; boundary="a b"; charset=x') == b"a b"
    with pytest.raises(MultipartError):
        boundary_of("text/plain")
