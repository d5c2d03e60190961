"""What is wrong right now, read from the parts of the gateway."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from pydantic import SecretStr

from gateway.alerts.book import Kind
from gateway.alerts.facts import Sources, here, look
from gateway.directory import Directory
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from gateway.sealing import SecretKey
from gateway.store import Agent, Connection, Credentials, Instance, Snapshot
from gateway.store.event_reading import Losses
from tests.support.fake_link import agent_link

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = SecretKey(SecretStr("k" * 40))
DAY = timedelta(days=1)


def instance(agent, name="i1", revoked_at=None):
    return Instance(agent, name, "ab", NOW, NOW + 7 * DAY, revoked_at)


def sources(*, agents=(), instances=(), connections=(), links=(), certificates=None, losses=None):
    registry = Registry()
    for link in links:
        registry.add(link)

    class Events:
        async def losses(self, since):
            assert since < NOW
            return losses or Losses([], [])

    directory = Directory(Snapshot(1, tuple(agents), tuple(instances), tuple(connections), ()), KEY)
    files = {name: SimpleNamespace(expires_at=lambda at=at: at) for name, at in (certificates or {}).items()}
    return Sources(registry, lambda: directory, files, OutcomeLog(lambda: NOW), Events())


def subjects(facts, kind):
    return [fact.subject for fact in facts if fact.kind is kind]


def test_offline_is_who_has_enrolled_was_not_revoked_and_has_no_link():
    names = ("here", "away", "invited", "revoked", "gone")
    agents = [Agent(name, NOW, NOW if name == "gone" else None) for name in names]
    rows = [instance("here"), instance("away"), instance("revoked", revoked_at=NOW), instance("gone")]
    link = agent_link("here")
    link.certificate.not_after = NOW + 7 * DAY
    found = here(sources(agents=agents, instances=rows, links=[link]), NOW)
    assert subjects(found, Kind.AGENT_OFFLINE) == ["away"]
    assert subjects(found, Kind.CERTIFICATE_EXPIRES) == []


def test_certificates_count_when_less_than_two_days_are_left():
    files = {"tunnel": (NOW + 2 * DAY).timestamp(), "ca": (NOW + DAY).timestamp(), "api": None}
    assert subjects(here(sources(certificates=files), NOW), Kind.CERTIFICATE_EXPIRES) == ["ca"]


def test_of_an_instance_that_is_renewing_the_newer_certificate_counts():
    old, new, other = agent_link("hq", "i1"), agent_link("hq", "i1"), agent_link("hq", "i2")
    old.certificate.not_after, new.certificate.not_after = NOW + DAY, NOW + 7 * DAY
    other.certificate.not_after = NOW + DAY
    found = here(sources(links=[old, new, other]), NOW)
    assert subjects(found, Kind.CERTIFICATE_EXPIRES) == ["agent hq/i2"]


def test_a_rejected_login_counts_as_long_as_its_connection_is_there():
    made = sources(connections=[Connection("hq", "hq", Credentials.AGENT)])
    made.outcomes.rejected_logins |= {"hq": NOW, "removed": NOW}
    [fact] = here(made, NOW)
    assert (fact.kind, fact.subject, fact.since) == (Kind.LOGIN_REJECTED, "hq", NOW)
    assert "agent hq" in fact.text


async def test_dead_letters_and_gaps_count_by_trigger_and_connection():
    trigger = SimpleNamespace(id=7, name="tickets")
    made = sources(losses=Losses([7, 8], ["hq"]))
    made.directory().subscriptions = SimpleNamespace(triggers=[trigger])
    found = await look(made, NOW)
    assert [(fact.kind, fact.subject) for fact in found] == [(Kind.DEAD_LETTERS, "tickets"), (Kind.EVENTS_LOST, "hq")]
