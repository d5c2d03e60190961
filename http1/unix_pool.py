"""A client pool towards a server of this machine that listens on a unix socket: always without TLS."""

import asyncio

from http1.client import ClientPool
from http1.origin import ClientLimits, Origin
from http1.sweep import Sweeper
from http1.upstream_socket import UpstreamSocket


class UnixPool(ClientPool):
    """The sockets towards the server at `path`; all else is as with any other origin."""

    def __init__(self, path: str, sweeper: Sweeper, limits: ClientLimits | None = None) -> None:
        super().__init__(Origin(path, 0, None, None, b"localhost"), sweeper, limits)

    async def _open_socket(self) -> UpstreamSocket:
        async with asyncio.timeout(self._limits.connect_seconds):
            _, upstream = await asyncio.get_running_loop().create_unix_connection(
                lambda: UpstreamSocket(self, self._memory), self.origin.host
            )
        self._open.add(upstream)
        return upstream

    def _where(self) -> str:
        return self.origin.host
