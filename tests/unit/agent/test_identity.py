"""The files of the state directory."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from agent.addresses import GatewayAddress
from agent.identity import CA_FILE, IDENTITY_FILE, is_enrolled, read_identity, store_identity
from certs.errors import CertsError, PrivateFileExposed
from certs.keys import make_key
from tests.support.agent_identity import issue_agent

GATEWAY = GatewayAddress("gateway.example", 8443)


def enrolled(tmp_path):
    directory = tmp_path / "state"
    key = make_key()
    certificate, ca = issue_agent(key, "site-a", "i1")
    store_identity(directory, key, certificate, ca, GATEWAY)
    return directory


def test_what_was_stored_is_read(tmp_path):
    directory = enrolled(tmp_path)
    identity = read_identity(directory)

    assert is_enrolled(directory)
    assert (identity.name, identity.instance, identity.gateway) == ("site-a", "i1", GATEWAY)
    assert identity.context().verify_mode.name == "CERT_REQUIRED"
    assert not identity.is_expired(datetime.now(UTC))
    assert identity.is_expired(datetime.now(UTC) + timedelta(days=8))


def test_the_key_is_for_its_owner_only(tmp_path):
    directory = enrolled(tmp_path)

    assert (directory / IDENTITY_FILE).stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_key_that_others_can_read_is_refused(tmp_path):
    directory = enrolled(tmp_path)
    (directory / IDENTITY_FILE).chmod(0o644)

    with pytest.raises(PrivateFileExposed):
        read_identity(directory)


def test_an_empty_directory_is_not_enrolled(tmp_path):
    assert not is_enrolled(tmp_path)
    with pytest.raises(CertsError):
        read_identity(tmp_path)


def test_a_missing_ca_is_named(tmp_path):
    directory = enrolled(tmp_path)
    (directory / CA_FILE).unlink()

    with pytest.raises(CertsError, match=r"gateway-ca\.pem"):
        read_identity(directory).context()


@pytest.mark.parametrize("name", [IDENTITY_FILE, CA_FILE])
def test_a_damaged_file_is_named(tmp_path, name):
    directory = enrolled(tmp_path)
    (directory / name).write_bytes(b"garbage\n")

    with pytest.raises(CertsError) as caught:
        read_identity(directory).context()

    assert str(directory / name) in str(caught.value)


class PowerCut(BaseException):
    """Nothing after this moment happens."""


@pytest.mark.parametrize("survives", range(5))
def test_an_enrolment_that_is_cut_off_anywhere_leaves_the_old_identity_or_the_new_one_whole(
    tmp_path, monkeypatch, survives
):
    """Another gateway with another CA: half of one and half of the other would work with neither."""
    from agent import identity as module

    state = enrolled(tmp_path)
    other, key = GatewayAddress("other.example", 8443), make_key()
    left = iter([True] * survives)

    def cut(write):
        def step(*words, **options):
            if not next(left, False):
                raise PowerCut
            return write(*words, **options)

        return step

    for name in ("write_private", "write_public"):
        monkeypatch.setattr(module, name, cut(getattr(module, name)))
    with nullcontext() if survives >= 4 else pytest.raises(PowerCut):
        store_identity(state, key, *issue_agent(key, "site-a", "i2"), other)
    monkeypatch.undo()

    found = read_identity(state)
    found.context()  # the key fits, and the CA is there
    assert (found.gateway, found.instance) == ((GATEWAY, "i1") if survives == 0 else (other, "i2"))
    assert not (state / "enrolment.pending.json").exists()
    assert is_enrolled(state)


def test_a_first_enrolment_that_is_cut_off_is_finished_by_whoever_comes_next(tmp_path, monkeypatch):
    from agent import identity as module

    state, key = tmp_path / "state", make_key()
    monkeypatch.setattr(module, "_write_out", lambda _: None)
    store_identity(state, key, *issue_agent(key), GatewayAddress("g.example", 1))
    monkeypatch.undo()
    assert not (state / "agent.pem").exists()
    assert is_enrolled(state)
    assert read_identity(state).gateway == GatewayAddress("g.example", 1)


def test_a_damaged_remainder_is_told_and_the_old_files_stay(tmp_path):
    state, key = tmp_path / "state", make_key()
    store_identity(state, key, *issue_agent(key), GatewayAddress("g.example", 1))
    (state / "enrolment.pending.json").write_text("{}")
    (state / "enrolment.pending.json").chmod(0o600)
    with pytest.raises(CertsError, match="is damaged"):
        read_identity(state)
