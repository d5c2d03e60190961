"""Which release this is."""

import re
from importlib.metadata import PackageNotFoundError

from runtime import version


def test_the_release_is_that_of_the_distribution():
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version.release())


def test_without_a_distribution_it_says_so(monkeypatch):
    def missing(_name):
        raise PackageNotFoundError

    monkeypatch.setattr(version, "version", missing)
    assert version.release() == "0+unknown"
