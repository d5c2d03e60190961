"""The hooks that gateways told this agent of: SHA-256 hashes, never the ids (docs/protocol.md §11).

Replaced as a whole with each announcement, in memory and in the spool, so that an agent that starts without a gateway
accepts its webhooks.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import structlog

log = structlog.get_logger()

SETTING: Final = b"hooks"
HASH_BYTES: Final = 32
MAX_HOOKS: Final = 1000
SHOWN: Final = 8
"""Digits of a hash that logs show; an id is shown by nobody."""


class KnownHooks:
    """Which webhooks are accepted. `remember` gets every new set."""

    def __init__(self, remember: Callable[[frozenset[bytes]], None]) -> None:
        self._remember = remember
        self._hashes: frozenset[bytes] = frozenset()

    def __len__(self) -> int:
        return len(self._hashes)

    def restore(self, hashes: frozenset[bytes]) -> None:
        """Begin with what an earlier run knew."""
        self._hashes = hashes

    def find(self, hook_id: bytes) -> bytes | None:
        """Return the hash of a known hook; an attacker who measures the time learns about hashes, and never an id."""
        digest = sha256(hook_id).digest()
        return digest if digest in self._hashes else None

    def learn(self, settings: dict[bytes, bytes]) -> None:
        """Take what a gateway announced (`on_settings` of a link); anything unreadable changes nothing."""
        joined = settings.get(SETTING)
        if joined is None:
            return
        if len(joined) % HASH_BYTES or len(joined) > MAX_HOOKS * HASH_BYTES:
            log.warning("hooks_refused", size=len(joined), action="update the gateway or this agent")
            return
        hashes = frozenset(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))
        if hashes != self._hashes:
            log.info("hooks_learnt", hooks=len(hashes), before=len(self._hashes))
            self._hashes = hashes
            self._remember(hashes)


def shown(digest: bytes) -> str:
    """Return how logs name a hook."""
    return digest.hex()[:SHOWN]
