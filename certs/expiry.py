"""Until when the certificates in a file are valid: asked often, read only when the file has changed.

Knows neither what the certificate is for nor who should be told.
"""

from pathlib import Path

from certs.certificates import read_certificates
from certs.errors import CertsError
from certs.files import read_public


class CertificateFile:
    """One PEM file of certificates, perhaps with a key, which is not looked at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._expires_at: float | None = None

    def __repr__(self) -> str:
        return f"<CertificateFile {self._path}>"

    def expires_at(self) -> float | None:
        """Return when the first certificate ends, in seconds since 1970; None when it cannot be read."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp != self._stamp:
                self._stamp, self._expires_at = stamp, None
                pem = read_public(self._path)
                self._expires_at = read_certificates(pem, self._path)[0].not_valid_after_utc.timestamp()
        except (OSError, CertsError):
            self._stamp = self._expires_at = None
        return self._expires_at
