"""Which release this is."""

import importlib.metadata

import pytest

from runtime import version


@pytest.fixture(autouse=True)
def asked_anew():
    version.release.cache_clear()
    yield
    version.release.cache_clear()


def test_the_release_is_that_of_the_distribution():
    assert version.release() == importlib.metadata.version("jira-tunnel")


@pytest.mark.parametrize(("folder", "release"), [("jira_tunnel-1.2.3rc1.dist-info", "1.2.3rc1"), ("jira", "0+unknown")])
def test_the_name_of_the_metadata_says_it(folder, release, tmp_path, monkeypatch):
    (tmp_path / folder).mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path / "none"), str(tmp_path)])
    assert version.release() == release
