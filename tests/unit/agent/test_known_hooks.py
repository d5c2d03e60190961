"""Which webhooks are accepted, and from whom that is learnt."""

from hashlib import sha256

import pytest

from agent.known_hooks import KnownHooks, shown


def digest(text):
    return sha256(text).digest()


@pytest.fixture
def remembered():
    return []


@pytest.fixture
def hooks(remembered):
    return KnownHooks(remembered.append)


def test_nothing_is_known_at_first(hooks):
    assert hooks.find(b"a") is None


def test_an_announcement_replaces_everything_and_is_remembered(hooks, remembered):
    hooks.learn({b"hooks": digest(b"a") + digest(b"b")})
    hooks.learn({b"hooks": digest(b"c")})
    assert [hooks.find(b"a"), hooks.find(b"b"), hooks.find(b"c")] == [None, None, digest(b"c")]
    assert remembered == [frozenset({digest(b"a"), digest(b"b")}), frozenset({digest(b"c")})]


def test_an_empty_announcement_means_none(hooks, remembered):
    hooks.learn({b"hooks": digest(b"a")})
    hooks.learn({b"hooks": b""})
    assert (len(hooks), remembered[-1]) == (0, frozenset())


@pytest.mark.parametrize("settings", [{}, {b"hooks": b"x" * 33}, {b"hooks": b"x" * 32 * 1001}])
def test_what_says_nothing_readable_changes_nothing(hooks, remembered, settings):
    hooks.learn({b"hooks": digest(b"a")})
    hooks.learn(settings)
    assert hooks.find(b"a") == digest(b"a")
    assert len(remembered) == 1


def test_the_same_again_is_not_written_again(hooks, remembered):
    hooks.learn({b"hooks": digest(b"a") + digest(b"b")})
    hooks.learn({b"hooks": digest(b"b") + digest(b"a")})
    assert len(remembered) == 1


def test_an_earlier_run_is_restored_without_writing(hooks, remembered):
    hooks.restore(frozenset({digest(b"a")}))
    assert hooks.find(b"a") == digest(b"a")
    assert remembered == []


def test_logs_name_a_hook_by_eight_digits_of_its_hash():
    assert shown(digest(b"a")) == sha256(b"a").hexdigest()[:8]
