"""How gateways and Jira are reached: proxy, CAs, source address. From settings to the objects that dial.

TLS to Jira is verified with the system's CAs or the given bundle, always; there is no switch to turn that off.
"""

import ssl
from pathlib import Path

from pydantic import SecretStr

from agent.addresses import GatewayAddress, JiraAddress
from agent.credentials import proxy_url
from agent.dialer import ProxyRoute
from agent.proxy import choose_proxy, environment_proxies
from agent.settings import AgentSettings
from http1.origin import Origin
from runtime.configuration import ConfigurationError


def make_route(settings: AgentSettings) -> ProxyRoute:
    """Return how gateways are reached; raises `ConfigurationError` for an unusable proxy."""
    environment = environment_proxies()
    configured = [] if settings.proxy_url is None else [proxy_url(settings.proxy_url)]
    # The system's CAs are 2 MiB of memory: only for who needs them.
    is_tls = any(url.startswith("https:") for url in [*configured, *environment.values()])
    is_verified = is_tls or settings.proxy_ca_file is not None
    tls = _verifying(settings.proxy_ca_file, "JIRA_AGENT_PROXY_CA_FILE") if is_verified else None

    def choose(gateway: GatewayAddress) -> SecretStr | None:
        return choose_proxy(gateway.host, gateway.port, settings.proxy_url, environment)

    return ProxyRoute(choose, tls)


def make_origin(settings: AgentSettings, jira: JiraAddress) -> Origin:
    """Return where Jira is, for the client pool; raises `ConfigurationError` for an unusable CA file."""
    return Origin(
        host=jira.host,
        port=jira.port,
        tls=_verifying(settings.jira_ca_file, "JIRA_AGENT_JIRA_CA_FILE") if jira.is_tls else None,
        server_hostname=jira.host,
        host_header=jira.host_header.encode("ascii"),
        local_address=None if settings.source_ip is None else str(settings.source_ip),
    )


def _verifying(ca_file: Path | None, variable: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigurationError(variable, f"{ca_file} holds no certificates", "name a PEM file of CAs") from None
    except OSError as error:
        problem = f"{ca_file} cannot be read ({error.strerror})"
        raise ConfigurationError(variable, problem, "name a readable PEM file of CAs") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
