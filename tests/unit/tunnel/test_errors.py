"""Errors are data with a sentence for people."""

from pathlib import Path

from tunnel.errors import CloseReason, ErrorCode, LinkClosed, RemoteProtocolError, StreamRefused, TunnelError


def test_every_error_says_what_it_holds():
    assert str(StreamRefused(ErrorCode.OVERLOADED)) == "stream refused: OVERLOADED"
    assert str(RemoteProtocolError(ErrorCode.FLOW_CONTROL, "5 of 4")) == "FLOW_CONTROL: 5 of 4"
    assert str(LinkClosed(CloseReason.SILENT)) == "link closed: silent (NO_ERROR)"


def test_one_type_catches_them_all():
    for error in (StreamRefused(ErrorCode.DRAINING), LinkClosed(CloseReason.ABORTED)):
        assert isinstance(error, TunnelError)


def test_codes_are_those_of_the_specification():
    text = {code.name: int(code) for code in ErrorCode}
    lines = (Path(__file__).parents[3] / "docs/protocol.md").read_text().splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| ") and line.split("|")[1].strip().isdigit()]
    named = {row[2].strip(): int(row[1]) for row in rows if row[2].strip() in text}
    assert named == text
