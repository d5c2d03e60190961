"""Who asks, when, and what there is to work with."""

from dataclasses import dataclass
from datetime import datetime

from gateway.sealing import SecretKey
from gateway.settings import GatewaySettings
from gateway.store import Store


@dataclass(frozen=True, slots=True)
class Desk:
    """One workplace for one request or command. `actor` is who the audit trail names."""

    settings: GatewaySettings
    key: SecretKey
    store: Store
    actor: str
    now: datetime
