"""The gateway's CA and enrolment: names come from the store, a code works once, failures use nothing up."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretBytes, SecretStr

from certs.certificates import (
    fingerprint,
    issuer_of,
    key_id,
    read_agent_certificate,
    read_certificates,
    server_names,
)
from certs.csr import make_csr
from certs.enrollment import EnrollmentRequest, check_ca, parse_code
from certs.errors import CsrRejected, FileUnusable
from certs.keys import make_key
from certs.rollover import Rollover, Waiting
from certs.tls import TunnelTls
from gateway.certificate_authority import CertificateAuthority, enroll, invite, renew, tunnel_hosts
from gateway.sealing import SecretKey
from gateway.store import InviteRejected, NotFound, open_store

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = SecretKey(SecretStr("k" * 40))
ADDRESS = "wss://gateway.example.com:8443"


@pytest.fixture
def authority(tmp_path):
    authority = CertificateAuthority(tmp_path)
    authority.create_if_absent(NOW)
    return authority


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gateway.db", KEY, NOW) as store:
        yield store


async def invited(store, authority, name="acme"):
    made = await invite(store, authority, name, ADDRESS, ttl=HOUR, by=("test", NOW))
    return parse_code(made.code.get_secret_value())


def request(code, key=None):
    return EnrollmentRequest(code.secret, make_csr(key or make_key()))


async def test_a_code_names_the_address_and_the_ca(store, authority):
    code = await invited(store, authority)

    assert code.address == ADDRESS
    assert code.ca_fingerprint == authority.fingerprint == fingerprint(read_certificates(authority.pem)[0])
    assert code.secret.get_secret_value().hex() not in str(await store.invites())


async def test_an_invited_agent_gets_a_certificate_by_our_record(store, authority):
    code, key = await invited(store, authority), make_key()
    enrolled = await enroll(store, authority, request(code, key), peer="192.0.2.1", now=NOW)
    certificate = enrolled.grant.check(key, code.ca_fingerprint)
    rows = await store.instances()

    assert certificate.identity == enrolled.identity
    assert certificate.identity.name == "acme"
    assert [(row.agent, row.instance, row.serial) for row in rows] == [
        ("acme", enrolled.identity.instance, f"{certificate.serial:x}")
    ]
    assert rows[0].expires_at == certificate.not_after == NOW + timedelta(days=7)


async def test_a_code_works_once(store, authority):
    code = await invited(store, authority)
    await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW)
    with pytest.raises(InviteRejected):
        await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW)


async def test_a_code_works_once_for_a_hundred_at_once(store, authority):
    code = await invited(store, authority)
    attempt, outcomes = request(code), []

    async def one():
        try:
            outcomes.append(await enroll(store, authority, attempt, peer="192.0.2.1", now=NOW))
        except InviteRejected as error:
            outcomes.append(error)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(100):
            tasks.create_task(one())

    assert sum(not isinstance(outcome, InviteRejected) for outcome in outcomes) == 1
    assert len(outcomes) == 100
    assert len(await store.instances()) == 1


async def test_an_expired_code_and_a_wrong_secret_are_refused_alike(store, authority):
    code = await invited(store, authority)
    with pytest.raises(InviteRejected) as late:
        await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW + HOUR)
    guess = EnrollmentRequest(SecretBytes(b"\0" * 32), make_csr(make_key()))
    with pytest.raises(InviteRejected) as wrong:
        await enroll(store, authority, guess, peer="192.0.2.1", now=NOW)

    assert str(late.value) == str(wrong.value)


async def test_a_bad_request_does_not_use_the_code_up(store, authority):
    code = await invited(store, authority)
    with pytest.raises(CsrRejected):
        await enroll(store, authority, EnrollmentRequest(code.secret, b"no csr"), peer="192.0.2.1", now=NOW)

    assert (await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW)).identity.name == "acme"


async def test_two_codes_of_one_name_make_two_instances(store, authority):
    codes = [await invited(store, authority), await invited(store, authority)]
    both = [await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW) for code in codes]

    assert len({enrolled.identity.instance for enrolled in both}) == 2
    assert {enrolled.identity.name for enrolled in both} == {"acme"}


async def test_a_renewed_certificate_keeps_the_identity_and_is_recorded(store, authority):
    code = await invited(store, authority)
    first = await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW)
    later = NOW + timedelta(days=4)
    renewed = await renew(store, authority, first.identity, make_csr(make_key()), now=later)
    certificate = read_agent_certificate(read_certificates(renewed.grant.certificate)[0])

    assert certificate.identity == first.identity
    assert [(row.serial, row.expires_at) for row in await store.instances()] == [
        (f"{certificate.serial:x}", later + timedelta(days=7))
    ]


async def test_a_revoked_instance_gets_no_new_certificate(store, authority):
    code = await invited(store, authority)
    first = await enroll(store, authority, request(code), peer="192.0.2.1", now=NOW)
    async with store.change("test", NOW) as change:
        await change.revoke_agent("acme")
    with pytest.raises(NotFound):
        await renew(store, authority, first.identity, make_csr(make_key()), now=NOW)


def test_the_ca_is_made_once(tmp_path):
    first, second = CertificateAuthority(tmp_path), CertificateAuthority(tmp_path)
    first.create_if_absent(NOW)
    made = first.fingerprint
    second.create_if_absent(NOW)

    assert second.fingerprint == made


def test_the_servers_certificate_is_made_and_can_be_served(authority):
    assert authority.renew_server(["gateway.example.com"], NOW)
    assert not authority.renew_server(["gateway.example.com"], NOW)

    TunnelTls(authority.files, NOW)
    assert server_names(read_certificates(authority.files.certificate.read_bytes())[0]) == ["gateway.example.com"]
    assert authority.files.certificate.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("hosts", "later"), [(["other.example.com"], timedelta()), (["gateway.example.com"], timedelta(days=16))]
)
def test_the_servers_certificate_is_renewed_for_other_hosts_and_at_half_life(authority, hosts, later):
    authority.renew_server(["gateway.example.com"], NOW)

    assert authority.renew_server(hosts, NOW + later)


HOSTS = ["gateway.example.com"]


def issuer(authority):
    return issuer_of(read_certificates(authority.files.certificate.read_bytes())[0], authority._ca.bundle())


def test_the_servers_certificate_stays_with_the_older_ca_until_it_may_move(authority):
    authority.renew_server(HOSTS, NOW)
    old, pinned = authority._ca.authority().certificate, authority.fingerprint
    new = authority._ca.rotate(NOW).certificate

    assert not authority.renew_server(HOSTS, NOW)
    assert authority.fingerprint == pinned, "codes pin what the tunnel shows"
    assert authority.renew_server(HOSTS, NOW + timedelta(days=16)), "it does not end meanwhile"
    assert authority.renew_server(["other.example.com"], NOW + timedelta(days=16))
    assert issuer(authority) == old
    assert authority.renew_server(HOSTS, NOW, may_move=True)
    assert issuer(authority) == new
    assert authority.fingerprint == fingerprint(new)
    assert not authority.renew_server(HOSTS, NOW), "it does not go back"


def test_a_lost_certificate_is_made_by_the_older_ca_while_agents_know_only_that(authority):
    authority.renew_server(HOSTS, NOW)
    old = authority._ca.authority().certificate
    authority._ca.rotate(NOW)
    authority.files.certificate.unlink()
    assert authority.fingerprint == fingerprint(old)

    assert authority.renew_server(HOSTS, NOW)
    assert issuer(authority) == old


def test_without_the_older_cas_key_the_servers_certificate_is_kept_until_its_last_day(authority):
    authority.renew_server(HOSTS, NOW)
    old = authority._ca.authority().certificate
    new = authority._ca.rotate(NOW).certificate
    authority._ca.previous_path.unlink()

    assert not authority.renew_server(HOSTS, NOW + timedelta(days=28))
    assert issuer(authority) == old
    assert authority.renew_server(HOSTS, NOW + timedelta(days=29, minutes=1))
    assert issuer(authority) == new


def test_a_servers_certificate_of_a_ca_that_nobody_trusts_is_replaced(authority):
    authority.renew_server(HOSTS, NOW)
    old = authority._ca.authority()
    authority._ca.rotate(NOW)
    authority._ca.distrust(old.fingerprint, NOW, force=True)

    assert authority.renew_server(HOSTS, NOW)
    assert issuer(authority) == authority._ca.authority().certificate


async def test_during_a_rollover_who_enrolls_trusts_both_cas_and_is_signed_by_the_new_one(store, authority):
    authority.renew_server(HOSTS, NOW)
    old, new = authority._ca.authority(), authority._ca.rotate(NOW)
    code, key = await invited(store, authority), make_key()
    enrolled = await enroll(store, authority, request(code, key), peer="192.0.2.1", now=NOW)

    assert code.ca_fingerprint == old.fingerprint
    assert check_ca(authority.pem, code.ca_fingerprint) == old.pem
    assert enrolled.grant.check(key, code.ca_fingerprint).signer == key_id(new.certificate)
    assert read_certificates(enrolled.grant.ca_bundle) == [new.certificate, old.certificate]


def test_where_it_stands_is_written_down_for_others_and_removed_at_the_end(authority):
    assert authority.report(()) is None
    old = authority._ca.authority()
    authority._ca.rotate(NOW)
    waiting = (Waiting("acme/i1", NOW + HOUR),)
    report = authority.report(waiting)

    assert (
        report
        == authority._ca.rollover()
        == Rollover(authority.cas[0].fingerprint.hex(), old.fingerprint.hex(), waiting)
    )
    assert not report.has_moved
    authority._ca.distrust(old.fingerprint, NOW, force=True)
    assert authority.report(()) is None
    assert authority._ca.rollover() is None


def test_a_certificate_brought_by_hand_is_left_alone_without_the_cas_key(authority):
    authority.renew_server(["gateway.example.com"], NOW)
    authority._ca.key_path.unlink()
    authority.create_if_absent(NOW)

    assert not authority.renew_server(["other.example.com"], NOW)
    with pytest.raises(FileUnusable):
        authority.sign(make_csr(make_key()), None, NOW)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("wss://gateway.example.com:8443", ["gateway.example.com"]),
        ("wss://[2001:db8::1]:8443", ["2001:db8::1"]),
        ("wss://127.0.0.1:8443", ["localhost", "127.0.0.1", "::1"]),
    ],
)
def test_the_certificate_names_what_agents_dial(url, hosts):
    assert tunnel_hosts(url) == hosts


def test_a_denial_by_hand_changes_the_stamp(authority):
    before = authority.stamp()
    authority._ca.revoke_agent("acme")

    assert authority.stamp() != before
    assert authority.deny_list().agents == {"acme"}
