"""When a certificate is renewed, what is accepted, and that any failure leaves the old one at work."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace

import pytest

from agent import renewal as module
from agent.addresses import GatewayAddress
from agent.errors import Cause, DialError
from agent.identity import CA_FILE, NEXT_FILE, read_identity, store_identity
from agent.petition import PetitionRefused, Refusal
from agent.renewal import LONGEST_SECONDS, SLOW_SECONDS, SOON_SECONDS, Renewal, retry_seconds
from agent.renewal_page import renewal_page, renewal_warnings
from certs.ca import sign_agent
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.enrollment import EnrollmentGrant
from certs.identity import AgentIdentity
from certs.keys import make_key
from tests.support.agent_identity import make_authority

GATEWAY = GatewayAddress("gateway.example", 8443)
WHO = AgentIdentity("site-a", "i1")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class World:
    """An agent enrolled at NOW, a gateway that grants, and both clocks in the test's hands."""

    def __init__(self, folder):
        self.now, self.seconds = NOW, 1000.0
        self.authority = make_authority()
        self.directory = folder / "state"
        self.grants = self.authority
        self.bundle = None
        self.granted_to = WHO
        self.key = None  # the certificate's, when it is not that of the request
        self.answer = None  # an exception instead of a grant
        self.proofs = []  # what dials with the new pair come to; None: accepted
        self.asked = self.shown = 0
        self.enroll()
        link = SimpleNamespace(is_usable=True, load=0)
        self.supervisor = SimpleNamespace(
            links=[SimpleNamespace(link=link, gateway=GATEWAY)], is_draining=False, show=self.show
        )
        self.renewal = Renewal(
            self.supervisor, self, read_identity(self.directory), lambda: self.now, lambda: self.seconds, Random(7)
        )
        self.renewal.look()

    def enroll(self, identity=WHO):
        key = make_key()
        certificate = to_pem([sign_agent(self.authority, make_csr(key), identity, self.now)])
        store_identity(self.directory, key, certificate, self.authority.pem, GATEWAY)

    def show(self, serial):
        self.shown = serial

    async def petition(self, link, csr):
        assert link.is_usable
        self.asked += 1
        if self.answer is not None:
            raise self.answer
        request = csr if self.key is None else make_csr(self.key)
        certificate = sign_agent(self.grants, request, self.granted_to, self.now)
        return EnrollmentGrant(to_pem([certificate]), self.bundle or self.grants.pem).to_json()

    async def dial(self, gateway, identity):
        """The dialer's part: loads what it is given, as TLS would."""
        identity.context()
        self.dialled = gateway, identity
        outcome = self.proofs.pop(0) if self.proofs else None
        if outcome is not None:
            raise outcome
        return SimpleNamespace(transport=SimpleNamespace(abort=lambda: None))

    async def pass_time(self, wall=timedelta(), seconds=0.0):
        """Let time pass, then give the renewal its turn."""
        self.now += wall
        self.seconds += seconds or wall.total_seconds()
        self.renewal.look()
        if self.renewal._is_time():
            await self.renewal._attempt()

    @property
    def serial(self):
        return read_identity(self.directory).certificate.serial


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    monkeypatch.setattr(module, "petition", world.petition)
    return world


async def test_it_is_renewed_at_half_life_and_not_before(world):
    old = world.serial
    due = world.renewal.due
    assert NOW + 7 * DAY * 0.44 < due < NOW + 7 * DAY * 0.56
    await world.pass_time(due - NOW - timedelta(seconds=1))
    assert world.asked == 0
    await world.pass_time(timedelta(seconds=2))

    assert (world.asked, world.renewal.renewed, world.renewal.problem) == (1, 1, None)
    assert world.serial != old
    assert world.shown == world.serial, "the links are told to show it"
    assert world.renewal.due > world.now + 3 * DAY
    assert not (world.directory / NEXT_FILE).exists()
    await world.pass_time(timedelta(hours=1))
    assert world.asked == 1


async def test_it_is_tried_with_the_new_pair_and_the_new_cas_before_anything_changes(world):
    before = (world.directory / CA_FILE).read_bytes()
    rotated = make_authority()
    world.grants, world.bundle = rotated, rotated.pem + world.authority.pem
    seen = []
    dial = world.dial

    async def look(gateway, identity):
        seen.append((world.serial, (world.directory / CA_FILE).read_bytes()))
        return await dial(gateway, identity)

    world.dial = look
    old = world.serial
    await world.pass_time(4 * DAY)

    assert seen == [(old, before)]
    gateway, identity = world.dialled
    assert (gateway, identity.file, identity.bundle) == (GATEWAY, NEXT_FILE, world.bundle)
    assert (world.directory / CA_FILE).read_bytes() == world.bundle
    assert world.serial == identity.certificate.serial


async def test_a_machine_that_slept_renews_when_it_wakes(world):
    """The counting clock stood still meanwhile; only the wall clock jumped."""
    await world.pass_time(6 * DAY, seconds=1.0)

    assert world.renewal.renewed == 1


async def test_a_machine_that_slept_past_the_end_does_not_ask(world):
    await world.pass_time(8 * DAY, seconds=1.0)

    assert (world.asked, world.renewal.renewed) == (0, 0)
    [warning] = renewal_warnings(world.renewal)
    assert "ends in 0 h" in warning


async def test_a_clock_that_was_set_back_asks_when_the_time_comes(world):
    await world.pass_time(-30 * DAY, seconds=1.0)
    assert world.asked == 0
    await world.pass_time(34 * DAY, seconds=1.0)
    assert world.renewal.renewed == 1


@pytest.mark.parametrize(
    ("failure", "shortest", "longest"),
    [
        (PetitionRefused(Refusal.LATER, "it answered 503"), 5, 10),
        (PetitionRefused(Refusal.UNKNOWN, "it answered 403"), SLOW_SECONDS / 2, SLOW_SECONDS),
        (TimeoutError(), 5, 10),
    ],
)
async def test_a_failure_is_told_and_tried_again_later(world, failure, shortest, longest):
    old = world.serial
    world.answer = failure
    await world.pass_time(4 * DAY)
    assert (world.asked, world.renewal.failed) == (1, 1)
    assert world.renewal.problem
    assert world.renewal.problem in next(renewal_warnings(world.renewal))
    await world.pass_time(seconds=shortest - 0.1)
    assert world.asked == 1
    world.answer = None
    await world.pass_time(seconds=longest - shortest + 0.2)

    assert (world.asked, world.renewal.problem) == (2, None)
    assert world.serial != old
    assert list(renewal_warnings(world.renewal)) == []


async def test_the_new_pair_is_dropped_when_the_gateway_does_not_take_it(world):
    old = world.serial
    world.proofs = [DialError(Cause.CERTIFICATE_REJECTED, "wss://g answered 403")]
    await world.pass_time(4 * DAY)

    assert world.serial == old
    assert not (world.directory / NEXT_FILE).exists()
    assert "403" in world.renewal.problem


async def test_a_busy_gateway_is_dialled_again_with_the_same_pair(world, monkeypatch):
    monkeypatch.setattr(module.asyncio, "sleep", _at_once)
    world.proofs = [DialError(Cause.GATEWAY_BUSY, "503", retry_after=1.0)]
    await world.pass_time(4 * DAY)

    assert (world.asked, world.renewal.renewed) == (1, 1)


async def _at_once(_seconds):
    return None


async def test_a_grant_for_another_key_name_or_ca_is_refused(world):
    old = world.serial
    for change in ({"key": make_key()}, {"granted_to": AgentIdentity("site-b", "i1")}, {"grants": make_authority()}):
        before = {name: getattr(world, name) for name in change}
        for name, value in change.items():
            setattr(world, name, value)
        await world.pass_time(4 * DAY if not world.asked else timedelta(), seconds=SLOW_SECONDS)
        for name, value in before.items():
            setattr(world, name, value)
        assert "granted certificate" in world.renewal.problem

    assert (world.serial, world.asked) == (old, 3)


async def test_a_certificate_that_its_own_bundle_did_not_sign_is_refused(world):
    world.bundle, world.grants = world.authority.pem, make_authority()
    await world.pass_time(4 * DAY)

    assert "does not go back" in world.renewal.problem


async def test_a_full_disk_is_told_and_tried_again_soon(world, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("certs.files.os.fsync", full)
    old = world.serial
    await world.pass_time(4 * DAY)
    assert "No space left" in world.renewal.problem
    monkeypatch.undo()
    monkeypatch.setattr(module, "petition", world.petition)
    await world.pass_time(seconds=10.1)

    assert world.serial != old


async def test_without_a_link_nothing_is_asked_and_nothing_has_failed(world):
    world.supervisor.links[0].link.is_usable = False
    await world.pass_time(4 * DAY)
    assert (world.asked, world.renewal.problem, list(renewal_warnings(world.renewal))) == (0, None, [])
    await world.pass_time(2 * DAY)

    [warning] = renewal_warnings(world.renewal)
    assert warning.startswith("this agent's certificate ends in 24 h")
    world.supervisor.links[0].link.is_usable = True
    await world.pass_time(timedelta(seconds=2))
    assert world.renewal.renewed == 1


async def test_a_new_enrolment_is_shown_by_the_links_and_has_a_time_of_its_own(world):
    await world.pass_time(2 * DAY)
    world.enroll(AgentIdentity("site-a", "i2"))
    await world.pass_time(2 * DAY)

    assert world.shown == world.serial
    assert world.asked == 0
    assert world.renewal.due > NOW + 5 * DAY


def told(*authorities):
    return {b"cas": b"".join(authority.fingerprint for authority in authorities)}


async def test_other_cas_at_the_gateway_make_it_renew_within_a_minute_once(world):
    old, rotated = world.serial, make_authority()
    world.renewal.learn(told(world.authority))
    await world.pass_time(seconds=SOON_SECONDS)
    assert world.asked == 0, "nothing has changed"

    world.grants, world.bundle = rotated, rotated.pem + world.authority.pem
    world.renewal.learn(told(rotated, world.authority))
    await world.pass_time(seconds=0.1)
    assert world.asked == 0, "not all agents at once"
    await world.pass_time(seconds=SOON_SECONDS)
    assert world.asked == 1
    assert world.serial != old
    for _ in range(3):
        world.renewal.learn(told(rotated, world.authority))
        await world.pass_time(seconds=2 * SOON_SECONDS)
    assert world.asked == 1


async def test_a_gateway_whose_word_and_grants_differ_is_asked_once(world):
    world.renewal.learn(told(make_authority(), world.authority))
    for _ in range(5):
        await world.pass_time(seconds=SLOW_SECONDS)

    assert world.asked == 1


async def test_a_ca_that_the_gateway_trusts_no_more_goes(world):
    rotated = make_authority()
    world.grants, world.bundle = rotated, rotated.pem + world.authority.pem
    await world.pass_time(4 * DAY)
    world.bundle = rotated.pem
    world.renewal.learn(told(rotated))
    await world.pass_time(seconds=0.1)
    await world.pass_time(seconds=SOON_SECONDS)

    assert (world.directory / CA_FILE).read_bytes() == rotated.pem


@pytest.mark.parametrize("value", [b"", b"x" * 31, b"x" * 32 * 17])
async def test_news_of_another_shape_change_nothing(world, value):
    world.renewal.learn({b"cas": value})
    world.renewal.learn({b"hooks": b"x" * 32})
    await world.pass_time(seconds=0.1)
    await world.pass_time(seconds=2 * SOON_SECONDS)

    assert world.asked == 0


async def test_a_lost_identity_is_told(world):
    (world.directory / "agent.pem").unlink()
    await world.pass_time(seconds=2.0)

    assert "agent.pem" in world.renewal.problem
    assert renewal_page(world.renewal)["due_at"] is None


async def test_it_runs_until_it_is_cancelled_and_removes_what_a_crash_left(world, monkeypatch):
    (world.directory / NEXT_FILE).write_bytes(b"half")
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    world.now += 4 * DAY
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(world.renewal.run())
        async with asyncio.timeout(5):
            while not world.renewal.renewed:
                await asyncio.sleep(0.001)
        running.cancel()

    assert not (world.directory / NEXT_FILE).exists()
    assert renewal_page(world.renewal)["renewed"] == 1


def test_waits_double_up_to_a_quarter_of_an_hour():
    assert [retry_seconds(count, 0.999999, slow=False) for count in (0, 1, 2, 50)] == pytest.approx(
        [10, 20, 40, LONGEST_SECONDS], rel=0.01
    )
    assert retry_seconds(0, 0.0, slow=True) == SLOW_SECONDS / 2
