"""Whom the gateway trusts when it dials out: the system's CAs, those of the settings, and a connection's own.

Verification cannot be turned off.
"""

import ssl
from pathlib import Path

from runtime.configuration import ConfigurationError

CA_FILE = "JIRA_GATEWAY_CA_FILE"


def client_context(ca_file: Path | None, ca_pem: str | None = None) -> ssl.SSLContext:
    """Return a verifying context; raises `ConfigurationError` for `ca_file`, ssl.SSLError for `ca_pem`."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigurationError(CA_FILE, f"{ca_file} holds no certificates", "name a PEM file of CAs") from None
    except OSError as error:
        problem = f"{ca_file} cannot be read ({error.strerror})"
        raise ConfigurationError(CA_FILE, problem, "name a readable PEM file of CAs") from None
    if ca_pem is not None:
        context.load_verify_locations(cadata=ca_pem)
    return context
