"""Sealing: opens only with the same key at the same place, and the key file is private."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from gateway.sealing import (
    KEY_FILE,
    SecretKey,
    SecretKeyDamaged,
    SecretKeyTooShort,
    SecretKeyUnsafe,
    WrongSecretKey,
    load_secret_key,
)

KEY = SecretKey(SecretStr("k" * 40))


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_was_sealed_opens(plain, place):
    assert KEY.unseal(KEY.seal(SecretBytes(plain), place), place).get_secret_value() == plain


def test_the_same_value_is_never_sealed_the_same_way():
    assert KEY.seal(SecretBytes(b"x"), "p") != KEY.seal(SecretBytes(b"x"), "p")


def test_another_key_does_not_open_it():
    with pytest.raises(WrongSecretKey):
        SecretKey(SecretStr("x" * 40)).unseal(KEY.seal(SecretBytes(b"x"), "p"), "p")


def test_a_sealed_value_moved_to_another_row_does_not_open():
    with pytest.raises(WrongSecretKey):
        KEY.unseal(KEY.seal(SecretBytes(b"x"), "connections/a/sealed_secret"), "connections/b/sealed_secret")


def test_a_change_of_any_byte_or_length_is_noticed():
    sealed = KEY.seal(SecretBytes(b"password"), "p")
    forged = [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))]
    forged += [sealed[:i] for i in range(len(sealed))]
    for attempt in forged:
        with pytest.raises(WrongSecretKey):
            KEY.unseal(attempt, "p")


def test_each_purpose_has_its_own_key():
    assert KEY.derive(b"audit") != KEY.derive(b"sealing")
    assert KEY.derive(b"audit") == SecretKey(SecretStr("k" * 40)).derive(b"audit")


def test_the_key_has_no_printable_form():
    assert "kkk" not in f"{KEY!r} {KEY}"


def test_a_short_key_is_refused_without_being_printed():
    with pytest.raises(SecretKeyTooShort) as caught:
        SecretKey(SecretStr("hunter2"))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\xff" * 64])
def test_a_damaged_key_file_is_named_and_no_new_key_is_suggested(tmp_path, content):
    load_secret_key(tmp_path, None)
    (tmp_path / KEY_FILE).write_bytes(content)

    with pytest.raises(SecretKeyDamaged) as caught:
        load_secret_key(tmp_path, None)

    assert str(tmp_path / KEY_FILE) in str(caught.value)
    assert "restore" in str(caught.value)
    assert "openssl" not in str(caught.value)


def test_a_missing_key_is_made_once_and_private(tmp_path):
    state = tmp_path / "state"
    made = load_secret_key(state, None)
    again = load_secret_key(state, None)

    assert made.text == again.text
    assert len(made.text.get_secret_value()) >= 43
    assert (state / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in state.iterdir()] == [KEY_FILE]


async def test_makers_at_the_same_time_get_the_same_key(tmp_path):
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(asyncio.to_thread(load_secret_key, tmp_path, None)) for _ in range(8)]

    assert len({task.result().text.get_secret_value() for task in made}) == 1


def test_a_configured_key_wins_and_nothing_is_written(tmp_path):
    key = load_secret_key(tmp_path, SecretStr("c" * 32))

    assert key.text.get_secret_value() == "c" * 32
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    load_secret_key(tmp_path, None)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(SecretKeyUnsafe) as caught:
        load_secret_key(tmp_path, None)

    assert "chmod 600" in str(caught.value)
