"""New hooks: an id that nobody can guess, all that guards the way in before Jira 10, and a secret to sign with."""

import secrets
from dataclasses import replace
from hashlib import sha256
from typing import Final

from pydantic import SecretBytes, SecretStr

from gateway.sealing import SecretKey
from gateway.store import Hook
from gateway.triggers import HookEntry, hook_place

ID_BYTES: Final = 32
SECRET_BYTES: Final = 32


def new_hook(draft: Hook, agent: str | None, key: SecretKey) -> HookEntry:
    """Return a hook as it is to be stored: `draft` with an id and a secret of its own."""
    hook_id, secret = secrets.token_urlsafe(ID_BYTES), secrets.token_hex(SECRET_BYTES)
    id_hash = sha256(hook_id.encode()).hexdigest()
    row = replace(
        draft,
        id_hash=id_hash,
        sealed_id=key.seal(SecretBytes(hook_id.encode()), hook_place(id_hash, "sealed_id")),
        sealed_secret=key.seal(SecretBytes(secret.encode()), hook_place(id_hash, "sealed_secret")),
    )
    return HookEntry(row, agent, SecretStr(hook_id), SecretStr(secret))


def url_of(base: str, hook: HookEntry) -> str:
    """Return the address at which this hook receives webhooks."""
    return f"{base}/hooks/{hook.hook_id.get_secret_value()}"
