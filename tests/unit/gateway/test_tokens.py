"""Tokens: their form, their hash, and how a rate is written."""

import base64

import pytest

from gateway.tokens import RateInvalid, format_rate, hash_token, make_token, parse_rate


def test_a_token_has_the_prefix_that_scanners_know_and_256_bits():
    secret = make_token().get_secret_value()

    assert secret.startswith("jtg_")
    assert len(base64.urlsafe_b64decode(secret.removeprefix("jtg_") + "=")) == 32


def test_no_two_tokens_are_the_same():
    assert len({make_token().get_secret_value() for _ in range(100)}) == 100


def test_a_token_is_not_printed():
    assert "jtg_" not in repr(make_token())


def test_the_hash_is_sha256():
    assert hash_token(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", 10.0), ("10", 10.0), ("600/m", 10.0), ("0.5/s", 0.5), ("36/h", 0.01)]
)
def test_a_rate_is_requests_per_second(text, rate):
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "0/s", "-1/s", "10/d", "ten/s", "1e9/s", "10 /s", "inf", "٣/s"])
def test_anything_else_is_no_rate(text):
    with pytest.raises(RateInvalid):
        parse_rate(text)


@pytest.mark.parametrize(("rate", "text"), [(10.0, "10/s"), (2.5, "2.5/s"), (0.5, "30/m")])
def test_a_rate_is_written_as_people_would(rate, text):
    assert format_rate(rate) == text
