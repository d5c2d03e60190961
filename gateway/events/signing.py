"""Who sent a delivery, and that nobody changed it: the three headers of Standard Webhooks 1.0, and their secrets. Pure.

The signature is over the bytes that are sent. While a secret is being replaced there is one signature for each of the
two, and a subscriber that knows either is content.
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import SecretStr
from standardwebhooks import Webhook

from http1.messages import Headers

SECRET_BYTES: Final = 32  # the specification asks for 24 to 64
_PREFIX: Final = "whsec_"


def make_secret() -> SecretStr:
    """Return a new signing secret in the form that libraries of Standard Webhooks take."""
    return SecretStr(_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii"))


def signed(identifier: str, now: datetime, body: bytes, keys: Sequence[SecretStr]) -> Headers:
    """Return the headers of one attempt at `now` (UTC); `body` is text in UTF-8, each key signs once, in order."""
    text = body.decode()
    signatures = [Webhook(key.get_secret_value()).sign(identifier, now, text) for key in keys]
    return [
        (b"webhook-id", identifier.encode("ascii")),
        (b"webhook-timestamp", str(int(now.timestamp())).encode("ascii")),
        (b"webhook-signature", " ".join(signatures).encode("ascii")),
    ]
