"""Takes secrets out of text that leaves this machine: those that are known here, and whatever looks like one. Pure.

The text was written by many: settings, logs, answers of Jira. Nothing of ours should hold a secret in the first place;
this is for what others put into a reason, a URL or a line of a log.
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

STARS: Final = "***"
_MIN_LENGTH: Final = 4
"""Shorter secrets are left alone: to take out every `a` would leave nothing to read."""

_LOOKS: Final = (
    (re.compile(r"\b(jtg_|jte_|whsec_)[A-Za-z0-9+/=._~-]+"), rf"\1{STARS}"),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9+/=._~-]{6,}"), rf"\1\2{STARS}"),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s@\"'<>]+@"), rf"\1{STARS}@"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), STARS),
    (
        re.compile(
            r"(?i)([\"']?\b[\w-]*(?:password|passwd|secret|token|api_?key|authorization|cookie|jsessionid)\b[\"']?"
            r"\s*[=:]\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&}\"']+)"
        ),
        rf"\1{STARS}",
    ),
)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text with stars in the place of these secrets, as they are or encoded, and of what looks like one."""
    for form in sorted({form for secret in secrets for form in forms(secret)}, key=len, reverse=True):
        text = text.replace(form, STARS)
    for pattern, stars in _LOOKS:
        text = pattern.sub(stars, text)
    return text


def forms(secret: str) -> set[str]:
    """Return how a secret may stand in a text: plain, in URLs, in JSON, and in base64 whatever stands before it."""
    if len(secret) < _MIN_LENGTH:
        return set()
    found = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + secret.encode())
        inner = encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4].decode()
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= _MIN_LENGTH}
