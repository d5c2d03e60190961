"""Proof that the world sees the address that the operator declared: an HTTP echo service is asked from it.

Asked at the start, then every minute while it disagrees or cannot be asked, and every ten minutes while it agrees.
A service that cannot be reached proves nothing and so does not make the gateway unready; an address that differs
does, because every firewall that admits the declared one would refuse us.
"""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import structlog

from gateway.egress import EGRESS_PUBLIC_IP, Egress, one_per_family
from gateway.outbound_tls import client_context
from gateway.settings import GatewaySettings, IPAddress
from gateway.ssrf import canonical
from runtime.configuration import ConfigurationError

log = structlog.get_logger()

AGREED_SECONDS: Final = 600.0
OTHERWISE_SECONDS: Final = 60.0
ECHO_SECONDS: Final = 10.0
MAX_ECHO_BYTES: Final = 4096
_CANDIDATE: Final = re.compile(r"[0-9A-Fa-f:.]{3,45}")


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the echo service says about one IP version: `seen`, or in one clause the `problem` with asking it."""

    version: int
    declared: IPAddress
    seen: IPAddress | None = None
    problem: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the service saw the declared address."""
        return self.seen == self.declared

    def __str__(self) -> str:
        if self.problem is not None:
            return f"IPv{self.version}: {self.declared} is declared, and not proven: {self.problem}"
        if self.agrees:
            return f"IPv{self.version}: the world sees {self.seen}, as declared"
        return f"IPv{self.version}: the world sees {self.seen}, but {self.declared} is declared"


@dataclass(slots=True)
class EgressProof:
    """Keeps the latest sightings; `declared` by IP version. Nothing is asked without a check URL."""

    settings: GatewaySettings
    egress: Egress
    declared: dict[int, IPAddress] = field(init=False)
    sightings: list[Sighting] = field(init=False, default_factory=list)
    is_pending: bool = field(init=False)

    def __post_init__(self) -> None:
        """Check the settings; raises `ConfigurationError`."""
        public = one_per_family(self.settings.egress_public_ip, EGRESS_PUBLIC_IP)
        self.declared = {**self.egress.sources, **public}
        self._check()
        self.is_pending = self.settings.egress_check_url is not None

    @property
    def mismatch(self) -> str | None:
        """Why the gateway is not ready: not asked yet, or another address; None when nothing is known to differ."""
        if self.is_pending:
            return "the egress address is being proven"
        wrong = [str(row) for row in self.sightings if row.seen is not None and not row.agrees]
        return "; ".join(wrong) or None

    def page(self) -> dict[str, Any]:
        """Return what the status page says."""
        return {
            "source": {f"ipv{version}": str(address) for version, address in self.egress.sources.items()},
            "declared": {f"ipv{version}": str(address) for version, address in self.declared.items()},
            "seen": {f"ipv{row.version}": str(row.seen) for row in self.sightings if row.seen is not None},
            "mismatch": self.mismatch,
        }

    async def run(self) -> None:
        """Ask again and again until cancelled; each change is logged once."""
        while self.settings.egress_check_url is not None:
            await self.ask()
            agreed = all(row.agrees for row in self.sightings)
            await asyncio.sleep(AGREED_SECONDS if agreed else OTHERWISE_SECONDS)

    async def ask(self) -> list[Sighting]:
        """Ask once, from every declared address."""
        url = self.settings.egress_check_url
        before = {str(row) for row in self.sightings}
        if url is not None:
            self.sightings = [await self._look(url, version, address) for version, address in self.declared.items()]
        self.is_pending = False
        for row in self.sightings:
            if str(row) not in before:
                tell = log.info if row.agrees else log.warning if row.seen is None else log.error
                tell("egress_checked", declared=str(row.declared), seen=str(row.seen or ""), reason=str(row))
        return self.sightings

    async def _look(self, url: str, version: int, declared: IPAddress) -> Sighting:
        try:
            text = await self._echo(url, version)
        except (aiohttp.ClientError, OSError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            return Sighting(version, declared, problem=f"the echo service cannot be asked ({reason})")
        seen = read_address(text)
        if seen is None:
            return Sighting(version, declared, problem="the echo service's answer holds no address")
        return Sighting(version, declared, seen)

    async def _echo(self, url: str, version: int) -> str:
        source = self.egress.sources.get(version)
        connector = aiohttp.TCPConnector(
            family=socket.AF_INET if version == 4 else socket.AF_INET6,
            local_addr=None if source is None else (str(source), 0),
            ssl=client_context(self.settings.ca_file),
            force_close=True,
        )
        timeout = aiohttp.ClientTimeout(total=ECHO_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return (await answer.content.read(MAX_ECHO_BYTES)).decode("latin-1")

    def _check(self) -> None:
        url = self.settings.egress_check_url
        if url is None:
            return
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                "JIRA_GATEWAY_EGRESS_CHECK_URL", "is no http(s) URL", "name a service that answers with our address"
            )
        if not self.declared:
            raise ConfigurationError(
                EGRESS_PUBLIC_IP,
                "is not set, and neither is JIRA_GATEWAY_EGRESS_IP",
                "declare the address that JIRA_GATEWAY_EGRESS_CHECK_URL shall see",
            )


def read_address(text: str) -> IPAddress | None:
    """Return the first IP address in an echo service's answer, plain or JSON."""
    for candidate in _CANDIDATE.findall(text):
        try:
            return canonical(ipaddress.ip_address(candidate))
        except ValueError:
            continue
    return None
