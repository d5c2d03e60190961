"""A renewed pair comes into force: whatever instant is the last one, the files that lie there work."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.addresses import GatewayAddress
from agent.identity import (
    CA_FILE,
    NEXT_FILE,
    adopt,
    forget_next,
    read_identity,
    store_identity,
    store_next,
)
from certs.ca import sign_agent
from certs.certificates import fingerprint, issuer_of, read_certificates, to_pem
from certs.csr import make_csr
from certs.identity import AgentIdentity
from certs.keys import make_key
from tests.support.agent_identity import make_authority

GATEWAY = GatewayAddress("gateway.example", 8443)
WHO = AgentIdentity("site-a", "i1")


class PowerCut(BaseException):
    """Nothing after this instant happens."""


class World:
    """An agent enrolled by an old CA, and what a gateway with a new one grants."""

    def __init__(self, folder):
        self.directory = folder / "state"
        self.old_ca, self.new_ca = make_authority(), make_authority()
        self.bundle = self.new_ca.pem + self.old_ca.pem
        key = make_key()
        store_identity(self.directory, key, self.signed(self.old_ca, key), self.old_ca.pem, GATEWAY)
        self.old = read_identity(self.directory)

    @staticmethod
    def signed(authority, key):
        return to_pem([sign_agent(authority, make_csr(key), WHO, datetime.now(UTC))])

    def renew(self):
        key = make_key()
        renewed = store_next(self.old, key, self.signed(self.new_ca, key), self.bundle)
        return renewed, adopt(renewed, self.old)

    def check(self):
        """What lies there is whole: it loads, trusts the gateway's CA (the old one still), and is one of the two."""
        identity = read_identity(self.directory)
        identity.context()
        trusted = read_certificates((self.directory / CA_FILE).read_bytes())
        assert fingerprint(self.old_ca.certificate) in map(fingerprint, trusted), "the tunnel's certificate is trusted"
        assert issuer_of(read_certificates((self.directory / identity.file).read_bytes())[0], trusted) is not None
        return identity.certificate.serial


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_the_renewed_identity_is_in_force_with_its_cas_and_nothing_is_left_over(world):
    renewed, is_adopted = world.renew()

    assert is_adopted
    assert world.check() == renewed.certificate.serial != world.old.certificate.serial
    assert (world.directory / CA_FILE).read_bytes() == world.bundle
    assert {file.name: file.stat().st_mode & 0o777 for file in world.directory.iterdir()} == {
        "agent.pem": 0o600, "gateway-ca.pem": 0o644, "gateway.url": 0o644,
    }  # fmt: skip


def test_before_it_is_adopted_only_a_file_beside_has_changed_and_it_can_be_tried(world):
    key = make_key()
    renewed = store_next(world.old, key, world.signed(world.new_ca, key), world.bundle)
    renewed.context()

    assert world.check() == world.old.certificate.serial
    assert (world.directory / NEXT_FILE).stat().st_mode & 0o777 == 0o600
    forget_next(world.directory)
    forget_next(world.directory)
    assert not (world.directory / NEXT_FILE).exists()


def test_an_enrolment_meanwhile_is_not_overwritten(world):
    key = make_key()
    renewed = store_next(world.old, key, world.signed(world.new_ca, key), world.bundle)
    other = make_key()
    certificate = sign_agent(world.old_ca, make_csr(other), AgentIdentity("site-a", "i2"), datetime.now(UTC))
    store_identity(world.directory, other, to_pem([certificate]), world.old_ca.pem, GATEWAY)

    assert not adopt(renewed, world.old)
    assert world.check() == certificate.serial_number
    assert (world.directory / CA_FILE).read_bytes() == world.old_ca.pem


STEPS = ((os, "fchmod"), (os, "fsync"), (Path, "replace"), (Path, "unlink"))


def cut_at(monkeypatch, number):
    """Let the power fail at the number-th call that touches the disk, before it (odd) or after it (even)."""
    count = 0

    def failing(original):
        def step(*arguments, **options):
            nonlocal count
            count += 2
            if number in {count - 1, count} and number % 2:
                raise PowerCut
            if number > 0 and count > number:
                raise PowerCut  # a clean-up of something that a power cut would not have run
            result = original(*arguments, **options)
            if number == count:
                raise PowerCut
            return result

        return step

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))


def test_whatever_instant_is_the_last_one_a_whole_identity_is_left(tmp_path, monkeypatch):
    seen, number = set(), 0
    while True:
        number += 1
        (tmp_path / str(number)).mkdir()
        world = World(tmp_path / str(number))
        with monkeypatch.context() as patched:
            cut_at(patched, number)
            try:
                world.renew()
            except PowerCut:
                is_cut = True
            else:
                is_cut = False
        seen.add(
            (world.check() == world.old.certificate.serial, (world.directory / CA_FILE).read_bytes() == world.bundle)
        )
        forget_next(world.directory)
        world.check()
        if not is_cut:
            break

    assert number > 20, f"hardly anything was cut: {number}"
    # (old pair, new CAs): all there is but a new pair with old CAs, which might not fit the gateway.
    assert seen == {(True, False), (True, True), (False, True)}
