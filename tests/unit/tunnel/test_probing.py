"""The messages of a line probe: read as written, refused otherwise."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnel.probing import BALLAST_BYTES, MAX_ECHO_BYTES, Kind, ProbeRejected, Tally, Welcome, read_kind


def test_a_welcome_is_read_as_written_and_unknown_keys_are_skipped():
    welcome = Welcome(1_800_000_000_123, "jira-gateway/1", "bbr")
    assert Welcome.from_json(welcome.to_json()) == welcome
    assert Welcome.from_json('{"time":1,"later":[1]}') == Welcome(1, "", "")


@pytest.mark.parametrize(
    "message", [b"{}", "", "[]", "nonsense", '{"time":-1}', '{"time":true}', '{"time":1e300}', "{" * 3000, "x" * 5000]
)
def test_anything_else_is_no_welcome(message):
    with pytest.raises(ProbeRejected):
        Welcome.from_json(message)


def test_what_a_gateway_calls_itself_never_commands_a_terminal():
    assert Welcome.from_json('{"time":1,"software":"\\u001b[2J","congestion":7}') == Welcome(1, "", "")


def test_a_tally_is_read_as_written_and_has_a_rate():
    tally = Tally.from_bytes(Tally(1_000_000, 2.0).to_bytes())
    assert (tally.size, tally.seconds, tally.bits_per_second) == (1_000_000, 2.0, 4e6)
    assert Tally(5, 0.0).bits_per_second == 0.0
    for message in ("text", b"", b"\x04", b"\x03" + bytes(16)):
        with pytest.raises(ProbeRejected):
            Tally.from_bytes(message)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"\x01", Kind.ECHO),
        (b"\x01" + bytes(MAX_ECHO_BYTES), Kind.ECHO),
        (b"\x02", Kind.SEND),
        (b"\x03" + bytes(BALLAST_BYTES - 1), Kind.BALLAST),
        (b"\x04", Kind.DONE),
    ],
)
def test_each_kind_has_its_size(message, kind):
    assert read_kind(message) is kind
    if kind is not Kind.ECHO or len(message) > 1:
        with pytest.raises(ProbeRejected):
            read_kind(message + b"x")


@given(st.one_of(st.binary(max_size=100), st.text(max_size=20)))
def test_whatever_comes_is_a_kind_or_refused(message):
    with suppress(ProbeRejected):
        assert isinstance(read_kind(message), Kind)
