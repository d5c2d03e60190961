"""Why a dial failed, whether to try again soon, and what a person should do. One pure table.

The dialer turns every exception of its libraries into a `DialError`; nothing else in the agent looks at
theirs. A rejected certificate is not transient (docs/facts.md L9), yet the agent never exits for it: an
unattended machine must survive a gateway operator's mistake, without a hot loop.
"""

import os
import socket
import ssl
from dataclasses import dataclass
from enum import Enum


class Cause(Enum):
    """What went wrong: (may it end by itself soon, what to do about it)."""

    NAME_UNKNOWN = (True, "check the gateway's host name and this machine's DNS")
    UNREACHABLE = (True, "check that the gateway runs and that the firewall lets this machine dial it")
    GATEWAY_BUSY = (True, "nothing: the gateway asked to wait")
    HANDSHAKE_CUT = (True, "nothing yet; if it stays, read the gateway's log")
    PROXY_UNREACHABLE = (True, "check JIRA_AGENT_PROXY_URL and that the proxy runs")
    PROXY_FAILED = (
        True,
        "the proxy itself does not get there: check the gateway's address, ask the proxy's administrator",
    )
    PROXY_LOGIN = (
        False,
        "set its user and password: JIRA_AGENT_PROXY_URL=http://user:password@host:port, special characters as %HH",
    )
    PROXY_REFUSED = (False, "ask the proxy's administrator to allow CONNECT to the gateway's host and port")
    PROXY_UNTRUSTED = (False, "name the CA that signed the proxy's certificate in JIRA_AGENT_PROXY_CA_FILE")
    GATEWAY_UNTRUSTED = (
        False,
        "exempt the gateway from TLS inspection; or, if its CA was replaced while this agent was off, enroll again",
    )
    CERTIFICATE_EXPIRED = (
        False,
        "ask the gateway's operator for a new invitation and enroll again (jira-agent enroll -), if the clock is right",
    )
    CERTIFICATE_REJECTED = (
        False,
        "this agent was revoked or is unknown: ask the gateway's operator, then enroll again",
    )
    CERTIFICATE_PROBABLY_REJECTED = (
        False,
        "the gateway closes right after TLS, so it probably rejects this agent's certificate: enroll again",
    )
    IDENTITY_UNUSABLE = (False, "correct the files in JIRA_AGENT_STATE_DIR, or enroll again")
    NOT_A_GATEWAY = (False, "check JIRA_AGENT_GATEWAY_URL: what answers there is no gateway of a version we know")

    @property
    def is_transient(self) -> bool:
        """Whether the usual backoff applies; else minutes."""
        return self.value[0]

    @property
    def action(self) -> str:
        """What a person should do."""
        return self.value[1]


@dataclass(frozen=True)
class DialError(Exception):
    """One attempt to open a link failed.

    `retry_after` is the seconds that the gateway asked to wait, `status` that of an HTTP answer, 0 without one.
    """

    cause: Cause
    reason: str
    retry_after: float = 0.0
    status: int = 0

    def __str__(self) -> str:
        return f"{self.reason}; {self.cause.action}"


_CERTIFICATE_ALERTS = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""OpenSSL's names of the alerts by which a TLS peer rejects our certificate (RFC 8446 §6.2)."""

_CAUSES: tuple[tuple[type[BaseException], Cause], ...] = (
    # Order matters: a verification failure is an SSLError, and both are an OSError.
    (ssl.SSLCertVerificationError, Cause.GATEWAY_UNTRUSTED),
    (ssl.SSLEOFError, Cause.UNREACHABLE),
    (ssl.SSLError, Cause.HANDSHAKE_CUT),
    (socket.gaierror, Cause.NAME_UNKNOWN),
    (EOFError, Cause.HANDSHAKE_CUT),
    (OSError, Cause.UNREACHABLE),
)


def classify(error: BaseException) -> Cause:
    """Return the cause of a failed dial from the standard library's exception."""
    if isinstance(error, ssl.SSLError) and _alert(error) in _CERTIFICATE_ALERTS:
        return Cause.CERTIFICATE_REJECTED
    for kind, cause in _CAUSES:
        if isinstance(error, kind):
            return cause
    return Cause.HANDSHAKE_CUT


def classify_status(status: int) -> Cause:
    """Return the cause from the HTTP status that refused the websocket."""
    if status in {401, 403}:
        return Cause.CERTIFICATE_REJECTED
    if status in {408, 425, 429} or status >= 500:
        return Cause.GATEWAY_BUSY
    return Cause.NOT_A_GATEWAY


def classify_proxy_status(status: int) -> Cause:
    """Return the cause from the HTTP status with which a proxy answered CONNECT."""
    if status == 407:
        return Cause.PROXY_LOGIN
    return Cause.PROXY_FAILED if status >= 500 else Cause.PROXY_REFUSED


def describe(error: BaseException) -> str:
    """Return one clause that says what the operating system or OpenSSL said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verification failed: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(_alert(error) or 'no reason given').replace('_', ' ').lower()}"
    if isinstance(error, OSError):
        # The system's own words: asyncio puts "Connect call failed" and an address in their place.
        number = 0 if isinstance(error, socket.gaierror) else error.errno or 0
        return os.strerror(number) if number > 0 else error.strerror or "it cannot be reached"
    return type(error).__name__


def _alert(error: ssl.SSLError) -> str | None:
    return getattr(error, "reason", None)  # only errors that OpenSSL itself raised have one
