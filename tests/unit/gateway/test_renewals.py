"""Renewals at the gateway: who gets a certificate, what the others are told, and what is written down."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from certs.certificates import read_agent_certificate, read_certificates
from certs.csr import make_csr
from certs.enrollment import EnrollmentGrant, EnrollmentRequest, parse_code
from certs.identity import AgentIdentity
from certs.keys import make_key
from gateway import renewals as module
from gateway.certificate_authority import CertificateAuthority, enroll, invite
from gateway.directory import Directory
from gateway.renewals import BURST, Renewals
from gateway.sealing import SecretKey
from gateway.store import StoreUnavailable, open_store

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = SecretKey(SecretStr("k" * 40))
LATER = NOW + timedelta(days=4)


class World:
    def __init__(self, store, authority):
        self.store = store
        self.authority = authority
        self.renewals = Renewals(store, authority, lambda: LATER)

    async def enroll(self, name="acme"):
        by = ("test", NOW)
        made = await invite(self.store, self.authority, name, "wss://g:1", ttl=timedelta(hours=1), by=by)
        request = EnrollmentRequest(parse_code(made.code.get_secret_value()).secret, make_csr(make_key()))
        return await enroll(self.store, self.authority, request, peer="192.0.2.1", now=NOW)

    async def ask(self, identity, csr=None):
        answers = []
        self.renewals.take(
            identity, make_csr(make_key()) if csr is None else csr, lambda *answer: answers.append(answer)
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.renewals.run())
            async with asyncio.timeout(10):
                while not answers:
                    await asyncio.sleep(0)
            running.cancel()
        [answer] = answers
        return answer

    async def directory(self):
        return Directory(await self.store.snapshot(), KEY)


@pytest.fixture
async def world(tmp_path):
    authority = CertificateAuthority(tmp_path)
    authority.create_if_absent(NOW)
    async with open_store(tmp_path / "gateway.db", KEY, NOW) as store:
        yield World(store, authority)


async def test_an_instance_gets_a_certificate_for_its_new_key_and_its_own_name(world):
    first, key = await world.enroll(), make_key()
    status, body = await world.ask(first.identity, make_csr(key))
    renewed = EnrollmentGrant.from_json(body).check_renewal(key, first.identity, world.authority.pem)

    assert status == 200
    assert renewed.not_after == LATER + timedelta(days=7)
    [row] = await world.store.instances()
    assert (row.serial, row.expires_at) == (f"{renewed.serial:x}", renewed.not_after)
    last = [record async for record in world.store.audit()][-1]
    assert (last.actor, last.action, last.subject) == (f"agent {first.identity}", "agent.renew", str(first.identity))


async def test_revoking_the_instance_denies_the_old_serial_and_the_new_one(world):
    first = await world.enroll()
    _, body = await world.ask(first.identity)
    renewed = read_agent_certificate(read_certificates(EnrollmentGrant.from_json(body).certificate)[0])
    identity = first.identity
    serials = (first.serial, f"{renewed.serial:x}")
    before = await world.directory()
    assert not any(before.revoked(identity.name, identity.instance, serial) for serial in serials)
    async with world.store.change("test", LATER) as change:
        await change.revoke_instance(identity.name, identity.instance)

    after = await world.directory()
    assert all(after.revoked(identity.name, identity.instance, serial) for serial in serials)


@pytest.mark.parametrize("how", ["instance", "name", "denied", "never enrolled"])
async def test_who_is_revoked_or_not_on_record_gets_none(world, how):
    identity = (await world.enroll()).identity
    if how == "never enrolled":
        identity = AgentIdentity(identity.name, "by-hand")
    elif how == "denied":
        world.authority._ca.revoke_agent(identity.name)
    else:
        async with world.store.change("test", NOW) as change:
            await (
                change.revoke_agent(identity.name)
                if how == "name"
                else change.revoke_instance(identity.name, identity.instance)
            )
    before = await world.store.instances()

    assert await world.ask(identity) == (403, b"")
    assert await world.store.instances() == before


async def test_a_bad_request_is_told_and_changes_nothing(world):
    first = await world.enroll()
    before = await world.store.instances()

    assert await world.ask(first.identity, b"no signing request") == (400, b"")
    assert await world.store.instances() == before


async def test_without_the_cas_key_nothing_is_signed_and_it_says_so(world):
    first = await world.enroll()
    world.authority._ca.key_path.unlink()

    assert await world.ask(first.identity) == (501, b"")


async def test_a_store_that_cannot_be_written_means_later(world, monkeypatch):
    first = await world.enroll()

    async def fail(*_, **__):
        raise StoreUnavailable("gateway.db", "disk full")

    monkeypatch.setattr(module, "renew", fail)
    assert await world.ask(first.identity) == (503, b"")


async def test_each_instance_has_a_rate_of_its_own(world):
    first, other = await world.enroll(), await world.enroll("branch")
    statuses = [(await world.ask(first.identity))[0] for _ in range(int(BURST) + 1)]

    assert statuses == [200] * int(BURST) + [429]
    assert (await world.ask(other.identity))[0] == 200


async def test_more_than_can_wait_are_told_to_come_later(world, monkeypatch):
    monkeypatch.setattr(module, "BURST", 1)
    renewals, answers = world.renewals, []
    for number in range(module.MAX_WAITING + 1):
        renewals.take(AgentIdentity("acme", f"i{number}"), b"", lambda *answer: answers.append(answer))

    assert answers == [(503,)]
