"""The end of a certificate in a file: read again when the file changes, and only then."""

from datetime import UTC, datetime, timedelta

from certs import expiry
from certs.ca_directory import CaDirectory
from certs.expiry import CertificateFile

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_file_that_is_missing_or_no_certificate_has_no_end(tmp_path):
    path = tmp_path / "x.pem"
    file = CertificateFile(path)
    assert file.expires_at() is None
    path.write_bytes(b"no certificate")
    assert file.expires_at() is None
    assert CertificateFile(tmp_path).expires_at() is None, "a directory"


def test_it_follows_the_file_and_reads_it_once_per_change(tmp_path, monkeypatch):
    first, second = CaDirectory(tmp_path / "a"), CaDirectory(tmp_path / "b")
    first.create(NOW)
    second.create(NOW + timedelta(days=30))
    reads = []
    read = expiry.read_public
    monkeypatch.setattr(expiry, "read_public", lambda path: reads.append(path) or read(path))
    path = tmp_path / "x.pem"
    path.write_bytes(first.bundle_path.read_bytes())
    file = CertificateFile(path)
    ends = [file.expires_at(), file.expires_at()]
    assert ends == [first.bundle()[0].not_valid_after_utc.timestamp()] * 2
    assert len(reads) == 1
    second.bundle_path.rename(path)
    assert file.expires_at() == ends[0] + timedelta(days=30).total_seconds()
    path.unlink()
    assert file.expires_at() is None
