"""What the running gateway does about its CA's files: nothing without need, and nothing that it may not do."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from certs.ca_directory import CaDirectory
from certs.certificates import AgentCertificate, issuer_of, key_id, read_certificates
from certs.errors import CertsError
from certs.identity import AgentIdentity
from gateway.authority_watch import AuthorityWatch
from gateway.certificate_authority import CertificateAuthority
from gateway.registry import Registry
from gateway.store import Instance

HOSTS = ["gateway.example.com"]
HQ = AgentIdentity("hq", "i1")


class Link:
    is_usable = True
    load = 0

    def __init__(self):
        self.news = []
        self.is_aborted = False

    def announce(self, settings):
        self.news.append(settings)

    def abort(self):
        self.is_aborted = True


class World:
    def __init__(self, folder):
        self.now = datetime.now(UTC)
        self.folder = folder
        self.rows = []
        authority = CertificateAuthority(folder)
        authority.create_if_absent(self.now)
        self.ca = CaDirectory(folder / "ca")
        self.registry = Registry()
        self.watch = AuthorityWatch(authority, HOSTS, self, self.registry)

    async def instances(self):
        return self.rows

    async def invites(self):
        return []

    def link(self, authority, *, serial=1):
        signer = key_id(authority.certificate)
        certificate = AgentCertificate(HQ, serial, self.now, self.now + timedelta(days=7), signer)
        made = SimpleNamespace(certificate=certificate, identity=HQ, link=Link(), settings={}, faces={})
        self.registry.add(made)
        return made

    def tunnel_ca(self):
        server = read_certificates((self.folder / "server.pem").read_bytes())[0]
        return issuer_of(server, self.ca.bundle())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_a_new_ca_is_told_and_the_tunnel_follows_when_the_last_agent_has_shown_it(world):
    old = world.ca.authority()
    enrolled = world.now - timedelta(days=1)
    world.rows = [Instance("hq", "i1", "01", enrolled, enrolled + timedelta(days=7))]
    link = world.link(old)
    await world.watch.look(world.now)
    assert link.link.news == []
    new = world.ca.rotate(world.now)
    await world.watch.look(world.now)

    assert link.link.news == [{b"cas": new.fingerprint + old.fingerprint}]
    assert world.tunnel_ca() == old.certificate
    assert [row.who for row in world.ca.rollover().waiting] == ["hq/i1"]

    world.watch._registry = world.registry = Registry()  # it goes offline
    await world.watch.look(world.now)
    assert world.tunnel_ca() == old.certificate, "offline, and not seen with the new one"

    world.link(new, serial=2)
    await world.watch.look(world.now)
    assert world.tunnel_ca() == new.certificate
    assert world.ca.rollover().has_moved


async def test_links_of_a_ca_that_was_distrusted_are_dropped(world):
    old = world.ca.authority()
    link = world.link(old)
    new = world.ca.rotate(world.now)
    other = world.link(new, serial=2)
    await world.watch.look(world.now)
    world.watch._drop_distrusted()
    assert not link.link.is_aborted
    world.ca.distrust(old.fingerprint, world.now, force=True)
    await world.watch.look(world.now)
    world.watch._drop_distrusted()

    assert (link.link.is_aborted, other.link.is_aborted) == (True, False)
    assert world.tunnel_ca() == new.certificate
    assert world.ca.rollover() is None


async def test_without_the_cas_key_nothing_is_moved_or_written(world):
    old = world.ca.authority()
    world.ca.rotate(world.now)
    world.ca.key_path.unlink()
    await world.watch.look(world.now)

    assert world.tunnel_ca() == old.certificate
    assert world.ca.rollover() is None


async def test_a_broken_bundle_changes_nothing_that_is_in_force(world):
    world.ca.revoke_agent("branch")
    await world.watch.look(world.now)
    world.ca.bundle_path.write_text("garbage")
    with pytest.raises(CertsError):
        await world.watch.look(world.now)

    assert world.watch.denied.agents == {"branch"}
    assert len(world.watch._cas) == 1
