"""Gateway tokens: how they are made, hashed and limited. Pure.

A token is `jtg_` and 256 random bits in base64url, so that secret scanners find it. Only its SHA-256 is
stored: with that much randomness a slow hash would protect nothing and cost every request.
"""

import hashlib
import re
import secrets

from pydantic import SecretStr

PREFIX = "jtg_"

_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/(s|m|h))?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class RateInvalid(ValueError):
    """The text is not a rate."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"{self.text!r} is not a rate: write requests per second, minute or hour, e.g. 10/s or 600/m"


def make_token() -> SecretStr:
    """Return a new token; it is shown once and stored only as `hash_token`."""
    return SecretStr(PREFIX + secrets.token_urlsafe(32))


def hash_token(presented: bytes) -> str:
    """Return the SHA-256 of a presented token in hex, the key under which it is stored."""
    return hashlib.sha256(presented).hexdigest()


def parse_rate(text: str) -> float:
    """Read `10/s`, `600/m` or `10` as requests per second.

    Raises:
        RateInvalid: it is not a positive number of that form.
    """
    match = _RATE.fullmatch(text)
    rate = float(match[1]) / _SECONDS[match[2] or "s"] if match else 0.0
    if rate <= 0:
        raise RateInvalid(text)
    return rate


def format_rate(rate: float) -> str:
    """Write requests per second as people would: 10/s, or 30/m when slower than one a second."""
    return f"{rate:g}/s" if rate >= 1 else f"{rate * 60:g}/m"
