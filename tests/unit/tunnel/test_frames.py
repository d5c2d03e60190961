"""The frame layer, where an example says more than a property."""

import pytest

from tunnel.errors import ErrorCode, LocalProtocolError, Progress, RemoteProtocolError
from tunnel.frames import (
    FrameType,
    GoAway,
    Hello,
    Reset,
    decode_hello,
    decode_reset,
    decode_settings,
    encode_go_away,
    encode_hello,
    encode_reset,
    encode_settings,
    frame,
)

HELLO = encode_hello(Hello((1,), 65536, 4096, "jira-agent/1"))[10:]


def test_the_bytes_are_those_of_the_specification():
    assert frame(FrameType.PING, b"12345678", flags=1).hex() == "08010000000000000008" + b"12345678".hex()
    assert HELLO.hex() == "000100020001" + "0002000400010000" + "0003000400001000" + "0004000c" + b"jira-agent/1".hex()
    assert encode_reset(2, ErrorCode.CANCEL, Progress.SENT, "x").hex() == "07000000000200000004" + "00040178"
    assert encode_go_away(GoAway(7, ErrorCode.DRAINING, 9, ""))[10:].hex() == "00000007" + "0011" + "00000009"


def test_unknown_keys_of_hello_are_skipped():
    assert decode_hello(HELLO + b"\x77\x77\0\1x") == decode_hello(HELLO)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        HELLO + HELLO[:6],
        HELLO[:-1],
        HELLO[:5],
        HELLO[6:],
        HELLO[:6],
        HELLO[:14],
        HELLO + b"\0",
        b"\0\1\0\1x" + HELLO[6:],
    ],
)
def test_a_misshapen_hello_is_refused(payload):
    with pytest.raises(RemoteProtocolError):
        decode_hello(payload)


@pytest.mark.parametrize("payload", [b"\0", b"\0\5abc", b"\0\1a"])
def test_misshapen_settings_are_refused(payload):
    with pytest.raises(RemoteProtocolError):
        decode_settings(payload)


@pytest.mark.parametrize("code", [999, 255])
def test_unknown_codes_are_read_as_internal_and_unknown_progress_as_sent(code):
    assert decode_reset(code.to_bytes(2) + b"\7why") == Reset(ErrorCode.INTERNAL, Progress.SENT, "why")


def test_texts_are_cut_between_characters():
    assert decode_reset(encode_reset(2, ErrorCode.CANCEL, Progress.SENT, "é" * 600)[10:]).detail == "é" * 512
    assert (
        decode_reset(encode_reset(2, ErrorCode.CANCEL, Progress.SENT, "x" + "é" * 600)[10:]).detail == "x" + "é" * 511
    )


def test_what_does_not_fit_a_frame_is_our_bug():
    with pytest.raises(LocalProtocolError):
        frame(FrameType.DATA, bytes(65537))
    with pytest.raises(LocalProtocolError):
        encode_settings({b"a": bytes(65536)})
