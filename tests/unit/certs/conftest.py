"""One CA and one clock for the certificate tests; keys and signatures are real, they cost 0.1 ms."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, settings

from certs.ca import Authority, create_authority

# Slowness of a busy machine is not a failure of the code.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)


@pytest.fixture
def now():
    return NOW


@pytest.fixture(scope="session")
def authority() -> Authority:
    return create_authority(NOW)


@pytest.fixture
def private(tmp_path):
    """A directory that only its owner can enter."""
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    return path
