"""What several long tests need."""

import pytest

from bench.nginx import website
from bench.place import tool


@pytest.fixture
def upstream(tmp_path):
    """Return the port of an nginx that answers as a fast Jira would."""
    missing = [name for name in ("wrk", "nginx") if tool(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    (tmp_path / "web").mkdir()
    web = website(tmp_path / "web")
    yield web.ports[0]
    web.program.stop()
