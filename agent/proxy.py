"""Which proxy a gateway is dialled through. Pure: the environment's proxies come in as a mapping.

``JIRA_AGENT_PROXY_URL`` wins over ``HTTPS_PROXY``; ``NO_PROXY`` exempts a gateway from both, as curl does.
Jira is on the LAN and is never spoken to through a proxy.
"""

from collections.abc import Mapping
from urllib.request import (  # type: ignore[attr-defined]  # typeshed lacks the second
    getproxies_environment,
    proxy_bypass_environment,
)

from pydantic import SecretStr


def environment_proxies() -> Mapping[str, str]:
    """Return what ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` of this process say."""
    return getproxies_environment()


def choose_proxy(
    host: str, port: int, configured: SecretStr | None, environment: Mapping[str, str]
) -> SecretStr | None:
    """Return the proxy for a gateway, or None for a direct dial."""
    if proxy_bypass_environment(f"{host}:{port}", dict(environment)):
        return None
    if configured is not None:
        return configured
    found = environment.get("https") or environment.get("all")
    return SecretStr(found) if found else None
