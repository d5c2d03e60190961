"""Looks for secrets in what can be read by somebody who may not know them: in plain, URL-encoded, and base64 form."""

import base64
import json
from collections.abc import Mapping
from subprocess import CompletedProcess
from urllib.parse import quote

from tests.support.callers import Reply


def forms(secret: str) -> set[str]:
    """How a secret may look when it leaks: as it is, in URLs, in JSON, and inside base64 at each of three offsets."""
    raw = secret.encode()
    found = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + raw)
        inner = encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4].decode()
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= 8}


class Evidence:
    """Everything that was seen, by where."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, where: str, text: str | bytes) -> None:
        """Remember a text that was found somewhere."""
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        self.texts[where] = self.texts.get(where, "") + text

    def command(self, where: str, done: CompletedProcess[str]) -> None:
        """Remember all that a command printed."""
        self.add(where, done.stdout + done.stderr)

    def reply(self, where: str, reply: Reply) -> None:
        """Remember a whole answer."""
        self.add(where, f"{reply.status} {reply.headers} {reply.body!r}")

    def leaks(self, secrets: Mapping[str, str]) -> list[str]:
        """Return where which secret stands, with the words before it."""
        return [
            f"{name} in {where}: …{text[max(0, text.index(form) - 80) : text.index(form)]}"
            for name, secret in secrets.items()
            for form in forms(secret)
            for where, text in self.texts.items()
            if form in text
        ]
