"""What a host name means right now: the system's resolver, asked so that one dead name costs one thread.

The resolver blocks and cannot be cancelled. The loop has few threads for that, shared with other work, and requests
for one name that its name server does not answer could hold them all. So each lookup has a thread of its own, which
nobody waits for at the end of the process, and who asks for a name that is being looked up joins that lookup.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Final, TypeAlias

from gateway.settings import IPAddress
from gateway.ssrf import canonical

MAX_PENDING: Final = 64

Pending: TypeAlias = "asyncio.Future[list[IPAddress]]"


class NameLookup:
    """Looks names up; each name at most once at a time."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}

    def __repr__(self) -> str:
        return f"<NameLookup pending={sorted(self._pending)}>"

    async def addresses(self, host: str) -> Sequence[IPAddress]:
        """Return the addresses of `host`, each once; raises OSError. Whoever gives up leaves the lookup to others."""
        pending = self._pending.get(host)
        if pending is None:
            if len(self._pending) >= MAX_PENDING:
                raise OSError(errno.EAGAIN, "too many names are being looked up; the name server is slow")
            loop = asyncio.get_running_loop()
            pending = self._pending[host] = loop.create_future()
            Thread(target=self._work, args=(loop, host, pending), name=f"lookup {host}", daemon=True).start()
        return await asyncio.shield(pending)

    def _work(self, loop: asyncio.AbstractEventLoop, host: str, pending: Pending) -> None:
        outcome: list[IPAddress] | OSError
        try:
            outcome = _look_up(host)
        except OSError as error:
            outcome = error
        except ValueError:  # UnicodeError: a label that is empty or too long
            outcome = OSError(errno.EINVAL, "it is no valid host name")
        with suppress(RuntimeError):  # the loop has ended meanwhile, and so has whoever asked
            loop.call_soon_threadsafe(self._settle, host, pending, outcome)

    def _settle(self, host: str, pending: Pending, outcome: list[IPAddress] | OSError) -> None:
        del self._pending[host]
        if isinstance(outcome, OSError):
            pending.set_exception(outcome)
            pending.exception()  # seen here, because everybody who asked may have given up
        else:
            pending.set_result(outcome)


def _look_up(host: str) -> list[IPAddress]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(canonical(ipaddress.ip_address(row[4][0])) for row in found))
