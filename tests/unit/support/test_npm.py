import hashlib

import pytest

from tests.support import npm


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "package-lock.json").write_text("{}")
    return tmp_path


@pytest.fixture
def installed(monkeypatch):
    """Folders that npm was asked to install into; node and npm are there."""
    folders = []
    monkeypatch.setattr(npm.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(npm, "_install", folders.append)
    return folders


def test_without_npm_a_test_is_skipped_and_says_so(monkeypatch, folder):
    monkeypatch.setattr(npm.shutil, "which", lambda program: None if program == "npm" else "/usr/bin/node")

    with pytest.raises(pytest.skip.Exception, match="needs npm: the npm clients were not tried"):
        npm.require_packages(folder)


def test_packages_are_installed_once(installed, folder):
    npm.require_packages(folder)
    npm.require_packages(folder)

    assert installed == [folder]
    stamp = (folder / "node_modules" / ".installed-lock").read_text()
    assert stamp == hashlib.sha256(b"{}").hexdigest()


def test_a_changed_lock_is_installed_anew(installed, folder):
    npm.require_packages(folder)
    (folder / "package-lock.json").write_text('{"packages": {}}')
    npm.require_packages(folder)

    assert installed == [folder, folder]


def test_an_installation_that_failed_is_tried_again(installed, folder, monkeypatch):
    def fail(folder):
        raise RuntimeError("npm ci ended with 1")

    monkeypatch.setattr(npm, "_install", fail)
    with pytest.raises(RuntimeError):
        npm.require_packages(folder)
    monkeypatch.setattr(npm, "_install", installed.append)
    npm.require_packages(folder)

    assert installed == [folder]
