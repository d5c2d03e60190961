"""A CA kept on disk: what each command changes, and what it refuses."""

import itertools
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from certs.ca_directory import CaDirectory, Order
from certs.certificates import (
    fingerprint,
    issuer_of,
    read_agent_certificate,
    read_certificates,
    server_names,
    to_pem,
)
from certs.csr import make_csr
from certs.errors import (
    AuthorityUnfit,
    CertificateRejected,
    FileExists,
    FileUnusable,
    NameRejected,
    PrivateFileExposed,
)
from certs.files import write_public
from certs.identity import AgentIdentity
from certs.keys import make_key, public_der, read_key, write_key
from certs.rollover import Rollover, Waiting

HQ = AgentIdentity("hq", "a1")


@pytest.fixture
def ca(tmp_path, now):
    directory = CaDirectory(tmp_path / "ca")
    directory.create(now)
    return directory


def stored(path):
    return read_certificates(path.read_bytes())[0]


def test_a_new_ca_is_private_and_complete(ca):
    assert stat.S_IMODE(ca.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(ca.key_path.stat().st_mode) == 0o600
    assert ca.bundle() == [ca.authority().certificate]
    assert ca.deny_list().agents == frozenset()


@pytest.mark.parametrize("missing", ["ca.key", "ca.pem"])
def test_a_ca_is_never_made_over_another_not_even_one_whose_key_is_offline(ca, now, missing):
    (ca.path / missing).unlink()
    before = sorted(ca.path.iterdir())
    with pytest.raises(FileExists):
        ca.create(now)
    assert sorted(ca.path.iterdir()) == before


def test_an_exposed_ca_key_signs_nothing(ca, now):
    ca.key_path.chmod(0o640)
    with pytest.raises(PrivateFileExposed):
        ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)


def test_a_certificate_for_a_key_made_elsewhere_is_public_and_alone(ca, now):
    key = make_key()
    certificate = ca.issue_agent(Order(ca.path / "a.pem", make_csr(key)), HQ, now)
    assert (ca.path / "a.pem").read_bytes() == to_pem([certificate])
    assert public_der(certificate.public_key()) == public_der(key.public_key())


def test_a_key_made_here_is_written_with_its_certificate_privately(ca, now):
    certificate = ca.issue_server(Order(ca.path / "s.pem"), ["localhost"], now)
    assert stat.S_IMODE((ca.path / "s.pem").stat().st_mode) == 0o600
    assert stored(ca.path / "s.pem") == certificate
    assert public_der(read_key(ca.path / "s.pem").public_key()) == public_der(certificate.public_key())


def test_issuing_never_overwrites(ca, now):
    ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    before = (ca.path / "a.pem").read_bytes()
    for csr in (None, make_csr(make_key())):
        with pytest.raises(FileExists):
            ca.issue_agent(Order(ca.path / "a.pem", csr), HQ, now)
    assert (ca.path / "a.pem").read_bytes() == before


def test_renewal_keeps_the_names_and_changes_the_key(ca, now):
    later = now + timedelta(days=3)
    for name, issue in (
        ("a.pem", lambda order: ca.issue_agent(order, HQ, now)),
        ("s.pem", lambda order: ca.issue_server(order, ["localhost", "10.0.0.1"], now)),
    ):
        old = issue(Order(ca.path / name))
        new = ca.renew(Order(ca.path / name), later)
        assert stored(ca.path / name) == new
        assert new.serial_number != old.serial_number
        assert public_der(new.public_key()) != public_der(old.public_key())
        assert public_der(read_key(ca.path / name).public_key()) == public_der(new.public_key())
        assert new.not_valid_after_utc - old.not_valid_after_utc == timedelta(days=3)
    assert read_agent_certificate(stored(ca.path / "a.pem")).identity == HQ
    assert server_names(stored(ca.path / "s.pem")) == ["localhost", "10.0.0.1"]


def test_renewal_of_a_key_that_lives_elsewhere_needs_a_request(ca, now):
    ca.issue_agent(Order(ca.path / "a.pem", make_csr(make_key())), HQ, now)
    with pytest.raises(FileUnusable):
        ca.renew(Order(ca.path / "a.pem"), now)
    new_key = make_key()
    renewed = ca.renew(Order(ca.path / "a.pem", make_csr(new_key)), now)
    assert public_der(renewed.public_key()) == public_der(new_key.public_key())


def test_expired_revoked_and_foreign_certificates_are_not_renewed(ca, now, tmp_path):
    path = ca.path / "a.pem"
    certificate = ca.issue_agent(Order(path), HQ, now)
    before = path.read_bytes()
    foreign = CaDirectory(tmp_path / "other")
    foreign.create(now)
    with pytest.raises(CertificateRejected, match="did not sign"):
        foreign.renew(Order(path), now)
    with pytest.raises(CertificateRejected, match="expired"):
        ca.renew(Order(path), certificate.not_valid_after_utc)
    ca.revoke_serial(certificate.serial_number)
    with pytest.raises(CertificateRejected, match="revoked"):
        ca.renew(Order(path), now)
    assert path.read_bytes() == before


def test_a_revoked_name_gets_no_new_certificate(ca, now):
    ca.revoke_agent("hq/a1")
    ca.revoke_agent("branch")
    for identity in (HQ, AgentIdentity("branch", "b1")):
        with pytest.raises(CertificateRejected, match="revoked"):
            ca.issue_agent(Order(ca.path / "x.pem"), identity, now)
    ca.issue_agent(Order(ca.path / "x.pem"), AgentIdentity("hq", "a2"), now)


@pytest.mark.parametrize("name", ["", "hq/", "/a1", "hq/a/1", "HQ"])
def test_a_misspelt_name_is_not_revoked_silently(ca, name):
    with pytest.raises(NameRejected):
        ca.revoke_agent(name)
    assert not ca.deny_list_path.exists()


def test_revocations_at_the_same_time_are_all_kept(ca):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ca.revoke_serial, range(1, 65)))
    assert ca.deny_list().serials == set(range(1, 65))


def test_a_watcher_notices_every_change_and_nothing_else(ca, now):
    stamps = [ca.stamp()]
    ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    assert ca.stamp() == stamps[0]
    for change in (
        lambda: ca.revoke_serial(7),
        lambda: ca.revoke_serial(8),
        lambda: ca.rotate(now),
        lambda: ca.distrust(fingerprint(ca.bundle()[1]), now, force=True),
        ca.deny_list_path.unlink,
    ):
        change()
        stamps.append(ca.stamp())
    assert all(one != other for one, other in itertools.pairwise(stamps))


def test_a_damaged_deny_list_stops_everything_rather_than_denying_nobody(ca, now):
    write_public(ca.deny_list_path, b"{}")
    with pytest.raises(CertificateRejected):
        ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    with pytest.raises(CertificateRejected):
        ca.revoke_serial(7)
    assert ca.deny_list_path.read_bytes() == b"{}"


def test_a_damaged_bundle_is_named(ca):
    write_public(ca.bundle_path, b"garbage")
    for read in (ca.authority, ca.bundle):
        with pytest.raises(CertificateRejected) as caught:
            read()
        assert str(ca.bundle_path) in str(caught.value)


def test_the_serial_of_a_certificate_is_only_taken_from_our_own(ca, now, tmp_path):
    certificate = ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    assert ca.serial_in(ca.path / "a.pem") == certificate.serial_number
    foreign = CaDirectory(tmp_path / "other")
    foreign.create(now)
    with pytest.raises(CertificateRejected):
        foreign.serial_in(ca.path / "a.pem")


def test_a_rotation_overlaps_two_cas_and_ends_by_distrusting_the_old_one(ca, now):
    old = ca.authority()
    ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    new = ca.rotate(now)
    assert ca.bundle() == [new.certificate, old.certificate]
    assert ca.authority().certificate == new.certificate
    renewed = ca.renew(Order(ca.path / "a.pem"), now)  # signed by the old one, renewed by the new one
    assert issuer_of(renewed, ca.bundle()) == new.certificate
    assert ca.previous().certificate == old.certificate
    assert stat.S_IMODE(ca.previous_path.stat().st_mode) == 0o600
    week = now + timedelta(days=7)
    ca.distrust(fingerprint(old.certificate), week)
    assert ca.bundle() == [new.certificate]
    assert not ca.previous_path.exists()


def test_a_ca_that_is_still_needed_is_distrusted_by_force_only(ca, now):
    old = ca.authority()
    ca.issue_server(Order(ca.path.parent / "server.pem"), ["localhost"], now)
    ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    ca.issue_agent(Order(ca.path / "expired.pem"), HQ, now - timedelta(days=30))
    ca.rotate(now)
    week = now + timedelta(days=6)
    with pytest.raises(AuthorityUnfit) as caught:
        ca.distrust(old.fingerprint, week)
    assert "a.pem was signed by it" in str(caught.value)
    assert "server.pem was signed by it" in str(caught.value)
    assert "agents may have certificates by it" in str(caught.value)
    assert "expired.pem" not in str(caught.value)
    assert len(ca.bundle()) == 2
    ca.distrust(old.fingerprint, week, force=True)
    assert len(ca.bundle()) == 1


def test_who_is_named_by_the_gateway_counts_until_his_time_and_only_for_this_rollover(ca, now):
    old = ca.authority().certificate
    signer = fingerprint(ca.rotate(now).certificate).hex()
    later = now + timedelta(days=1)
    ca.report(Rollover(signer, fingerprint(old).hex(), (Waiting("hq/a1", later),)))
    assert [need[:5] for need in ca.needs(old, now)] == ["hq/a1"]
    assert ca.needs(old, later) == []
    ca.report(Rollover("another", "", ()))
    assert "agents may have" in ca.needs(old, now)[0]
    write_public(ca.rollover_path, b"[]")
    assert ca.rollover() is None
    assert "agents may have" in ca.needs(old, now)[0]


def test_a_second_rollover_waits_for_the_end_of_the_first(ca, now):
    old = ca.authority()
    ca.rotate(now)
    before = sorted(path.read_bytes() for path in ca.path.iterdir())
    with pytest.raises(AuthorityUnfit, match="end that first"):
        ca.rotate(now)
    assert sorted(path.read_bytes() for path in ca.path.iterdir()) == before
    ca.distrust(old.fingerprint, now, force=True)
    ca.rotate(now)


def test_the_ca_that_signs_is_never_distrusted(ca, now):
    for wrong in (b"\x00" * 32, b""):
        with pytest.raises(CertificateRejected):
            ca.distrust(wrong, now)
    with pytest.raises(AuthorityUnfit):
        ca.distrust(ca.authority().fingerprint, now, force=True)
    assert len(ca.bundle()) == 1


def test_a_crash_in_the_middle_of_a_rotation_leaves_the_old_ca_working(ca, now, monkeypatch):
    old = ca.authority().certificate

    def crash(*_, **__):
        raise KeyboardInterrupt

    def crash_at_the_second(path, key, **options):
        crash() if path == ca.key_path else write_key(path, key, **options)

    for name, step in (("write_key", crash), ("write_public", crash), ("write_key", crash_at_the_second)):
        monkeypatch.setattr(f"certs.ca_directory.{name}", step)
        with pytest.raises(KeyboardInterrupt):
            ca.rotate(now)
        monkeypatch.undo()
        assert ca.authority().certificate == old
        assert ca.previous() is None
    orphan = ca.bundle()[0]
    ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    new = ca.rotate(now)
    assert ca.bundle() == [new.certificate, old], "what never signed is trusted no more"
    assert orphan not in ca.bundle()
    assert ca.previous().certificate == old


def test_a_rotation_while_a_certificate_is_issued_disturbs_nobody(ca, now, monkeypatch):
    def rotate_meanwhile(path):
        key = read_key(path)
        monkeypatch.undo()
        ca.rotate(now)
        return key

    old = ca.authority().certificate
    monkeypatch.setattr("certs.ca_directory.read_key", rotate_meanwhile)
    certificate = ca.issue_agent(Order(ca.path / "a.pem"), HQ, now)
    assert issuer_of(certificate, ca.bundle()) == old != ca.bundle()[0]


def test_a_directory_without_a_ca_is_refused(tmp_path, now):
    with pytest.raises(FileUnusable):
        CaDirectory(tmp_path).issue_agent(Order(tmp_path / "a.pem"), HQ, now)
    with pytest.raises(FileUnusable):
        CaDirectory(tmp_path / "missing").revoke_serial(7)
