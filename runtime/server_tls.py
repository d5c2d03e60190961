"""The TLS of a listener, from a certificate and a key in files that somebody else renews.

New files count for the next socket, and sockets that are open go on; a pair that cannot be used changes nothing and is
logged. Knows nothing of who dials: agents, whose certificates are checked, have certs.tls.
"""

import ssl
from pathlib import Path
from typing import Final

import structlog

from runtime.configuration import ConfigurationError
from runtime.watched_files import watch_files

log = structlog.get_logger()

HANDSHAKE_SECONDS: Final = 10.0


class ServerTls:
    """One listener's TLS; `context` lives as long as the listener."""

    def __init__(self, certificate: Path, key: Path, variable: str) -> None:
        """Load the pair; raises `ConfigurationError`, which names `variable`, when it cannot be used."""
        self._files = (certificate, key)
        self._variable = variable
        self._current = load_pair(certificate, key, variable)
        # The listener's own context never changes: changing a live one is not atomic, and a bad pair would spoil it.
        self.context = load_pair(certificate, key, variable)
        self.context.sni_callback = self._use_current

    def __repr__(self) -> str:
        return f"<ServerTls {self._files[0]}>"

    def renew(self) -> None:
        """Use what the files hold now for new sockets; what cannot be used is logged, and the old pair stays."""
        certificate = str(self._files[0])
        try:
            self._current = load_pair(*self._files, self._variable)
        except ConfigurationError as error:
            # What is wrong is the file, not this code: no traceback.
            log.error("certificate_refused", file=certificate, reason=str(error), action="the old one stays")  # noqa: TRY400
        else:
            log.info("certificate_renewed", file=certificate)

    async def watch(self) -> None:
        """Renew after every change of the files, until cancelled."""
        await watch_files(lambda: self._files, self.renew)

    def _use_current(self, socket: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # Called in every handshake, also when the peer sends no name.
        socket.context = self._current


def load_pair(certificate: Path, key: Path, variable: str) -> ssl.SSLContext:
    """Return a server's context for these files; raises `ConfigurationError`, which names `variable`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # old Javas under old Jiras, and old clients, have no 1.3
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            variable,
            f"{certificate} and its key cannot be loaded ({reason})",
            "name a PEM certificate chain and its unencrypted key",
        ) from None
    return context
