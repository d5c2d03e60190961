"""What the audit log says of policies and certificates. Pure."""

from typing import Any

from agent.identity import Identity
from agent.policy import Policy
from certs.certificates import serial_hex


def about_policy(policy: Policy) -> dict[str, Any]:
    """Return which policy counts now: where it comes from, and what tells it from every other."""
    return {"source": policy.source, "rules": len(policy.rules.rules), "sha256": policy.digest()}


def about_certificate(identity: Identity) -> dict[str, Any]:
    """Return who this agent is from now on."""
    certificate = identity.certificate
    expires = certificate.not_after.isoformat(timespec="seconds")
    return {
        "agent": identity.name,
        "instance": identity.instance,
        "serial": serial_hex(certificate.serial),
        "expires_at": expires,
        "gateway": str(identity.gateway),
    }
