"""Alerts from what is wrong to a real receiver that verifies their signature, over failures and a restart."""

import asyncio
import json
import stat
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import jsonschema_rs
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from gateway.alerts import sender
from gateway.alerts.book import Fact, Kind
from gateway.alerts.service import FILE_NAME, open_alerts
from gateway.egress import Dialer, Egress
from gateway.outcomes import OutcomeLog
from gateway.settings import GatewaySettings
from gateway.store import StoreUnavailable
from http1.sweep import Sweeper
from runtime.configuration import ConfigurationError
from runtime.groups import leave_group, leaving_group
from tests.support.stack import PROJECT
from tests.support.subscriber import Answer, Subscriber

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
LOOPBACK = ip_network("127.0.0.0/8")
SCHEMA = jsonschema_rs.Draft202012Validator(json.loads((PROJECT / "docs/alert.schema.json").read_text()))


@asynccontextmanager
async def running(alerts, sweeper):
    """Run the alerts of one life of the gateway."""
    with leaving_group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(alerts.run())
            tasks.create_task(sweeper.run())
            await asyncio.sleep(0)
            yield
            leave_group()


class World:
    """A clock, what is wrong, and the alerts of a gateway that has just started."""

    def __init__(self, folder, url, monkeypatch):
        self.now = datetime(2026, 11, 26, 12, tzinfo=UTC)
        self.wrong = []
        self.folder = folder
        self.url = url
        self.outcomes = OutcomeLog()

        async def look(sources, now):
            if self.wrong is None:
                raise StoreUnavailable(str(folder), "it is locked")
            return self.wrong

        monkeypatch.setattr("gateway.alerts.service.look", look)
        monkeypatch.setattr("gateway.alerts.service.here", lambda sources, now: [])
        monkeypatch.setattr("gateway.alerts.service.LOOK_SECONDS", 3600)
        monkeypatch.setattr(sender, "DELAYS", (0.01,))

    def start(self):
        settings = GatewaySettings(
            state_dir=self.folder,
            tunnel_url="wss://gw.example",
            alert_url=self.url,
            alert_secret=SECRET,
            allow_networks=(LOOPBACK,),
        )
        self.sweeper = Sweeper()
        alerts = open_alerts(
            settings, self, Dialer(Egress({}), settings.allow_networks), self.sweeper, "https://gw", "jira-gateway/test"
        )
        alerts._clock = alerts.sender._clock = lambda: self.now
        return alerts

    async def pass_time(self, alerts, seconds, wrong):
        self.now += timedelta(seconds=seconds)
        self.wrong = wrong
        await alerts.look()


@pytest.fixture
async def receiver():
    async with Subscriber() as made:
        yield made


@pytest.fixture
def world(tmp_path, receiver, monkeypatch):
    tmp_path.chmod(0o700)
    return World(tmp_path, receiver.url + "?token=canary", monkeypatch)


def told(received):
    """What was received, once its signature and its form are verified."""
    signed = Webhook(SECRET).sign(
        received.headers["webhook-id"],
        datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), UTC),
        received.body.decode(),
    )
    assert received.headers["webhook-signature"] == signed
    SCHEMA.validate(received.document)
    data = received.document["data"]
    return received.document["type"], data.get("kind"), data.get("subject")


OFFLINE = Fact(Kind.AGENT_OFFLINE, "hq", "hq is offline", "start it")


async def test_an_outage_is_told_once_although_the_receiver_fails_and_the_gateway_restarts(world, receiver):
    receiver.script = [Answer(500), Answer(close=True)]
    alerts = world.start()
    async with running(alerts, world.sweeper):
        await world.pass_time(alerts, 0, [OFFLINE])
        await world.pass_time(alerts, 119, [OFFLINE])
        await world.pass_time(alerts, 1, [OFFLINE])
        await receiver.wait_for(3)
        assert [told(one) for one in receiver.received] == [("alert.firing", "agent_offline", "hq")] * 3
        assert len(set(receiver.ids)) == 1, "a receiver can drop what it has already"
        await world.pass_time(alerts, 5, [OFFLINE])
        async with asyncio.timeout(5):
            while alerts.page()["waiting"]:
                await asyncio.sleep(0.01)
        assert (alerts.page()["failed"], alerts.page()["sent"]) == (2, 1)
        assert "canary" not in str(alerts.page()) + repr(alerts)
    assert stat.S_IMODE((world.folder / FILE_NAME).stat().st_mode) == 0o600

    again = world.start()
    async with running(again, world.sweeper):
        await world.pass_time(again, 300, [OFFLINE])
        assert [alert.subject for alert in again.book.alerts()] == ["hq"]
        await world.pass_time(again, 5, [])
        await world.pass_time(again, 60, [])
        await receiver.wait_for(4)
    assert told(receiver.received[3]) == ("alert.resolved", "agent_offline", "hq")
    assert len(receiver.received) == 4


async def test_what_was_not_told_before_a_stop_is_told_after_it(world, receiver):
    port = receiver.port
    await receiver.__aexit__()
    alerts = world.start()
    async with running(alerts, world.sweeper):
        await world.pass_time(alerts, 0, [OFFLINE])
        await world.pass_time(alerts, 120, [OFFLINE])
    async with Subscriber() as back:
        world.url = back.url
        async with running(world.start(), world.sweeper):
            await back.wait_for(1)
    assert told(back.received[0]) == ("alert.firing", "agent_offline", "hq")
    assert port


async def test_a_store_that_cannot_be_read_ends_no_alert_of_events(world, receiver):
    alerts = world.start()
    async with running(alerts, world.sweeper):
        await world.pass_time(alerts, 0, [Fact(Kind.DEAD_LETTERS, "t", "x", "y")])
        await receiver.wait_for(1)
        await world.pass_time(alerts, 600, None)
        assert [alert.subject for alert in alerts.book.alerts()] == ["t"]


async def test_a_rejected_login_stays_open_over_a_restart_until_a_good_answer(world, receiver):
    alerts = world.start()
    async with running(alerts, world.sweeper):
        await world.pass_time(alerts, 0, [Fact(Kind.LOGIN_REJECTED, "hq", "x", "y", world.now)])
    world.outcomes.rejected_logins.clear()
    async with running(world.start(), world.sweeper):
        assert set(world.outcomes.rejected_logins) == {"hq"}


async def test_a_broken_memory_is_forgotten_and_said(world):
    (world.folder / FILE_NAME).write_text("{")
    (world.folder / FILE_NAME).chmod(0o600)
    alerts = world.start()
    async with running(alerts, world.sweeper):
        assert alerts.book.alerts() == []


async def test_a_test_is_posted_at_once(world, receiver):
    alerts = world.start()
    async with running(alerts, world.sweeper):
        assert await alerts.test() == {"ok": True, "status": 200, "error": None}
        assert told(receiver.received[0])[0] == "alert.test"
        receiver.script = [Answer(404)]
        assert (await alerts.test())["ok"] is False


async def test_a_notice_is_given_up_after_a_day_and_there_is_a_bound(world, receiver):
    receiver.usual = Answer(503)
    alerts = world.start()
    async with running(alerts, world.sweeper):
        await world.pass_time(alerts, 0, [Fact(Kind.DEAD_LETTERS, str(n), "x", "y") for n in range(250)])
        assert alerts.sender.waiting == sender.MAX_WAITING
        assert alerts.sender.given_up == 50
        world.now += timedelta(hours=25)
        await receiver.wait_for(len(receiver.received) + 3)
        assert alerts.sender.given_up > 50


@pytest.mark.parametrize(
    ("url", "problem"),
    [("http://127.0.0.1/x", "ALLOW_NETWORKS"), ("https://10.0.0.1/", "not public"), ("nonsense", "no address")],
)
def test_an_address_that_may_not_be_dialled_is_told_at_the_start_without_being_shown(tmp_path, url, problem):
    settings = GatewaySettings(state_dir=tmp_path, tunnel_url="wss://gw.example", alert_url=url, alert_secret=SECRET)
    with pytest.raises(ConfigurationError) as caught:
        open_alerts(settings, None, None, None, "https://gw", "x")
    assert problem in caught.value.line
    assert "JIRA_GATEWAY_ALERT_URL" in caught.value.line


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ({"alert_url": "https://x.example"}, "JIRA_GATEWAY_ALERT_SECRET"),
        ({"alert_secret": SECRET}, "JIRA_GATEWAY_ALERT_URL"),
        ({"alert_url": "https://x.example", "alert_secret": "canary"}, "JIRA_GATEWAY_ALERT_SECRET"),
        ({"alert_url": "https://x.example", "alert_secret": "whsec_c2hvcnQ="}, "JIRA_GATEWAY_ALERT_SECRET"),
    ],
)
def test_half_a_configuration_is_none(fields, variable):
    with pytest.raises(ConfigurationError) as caught:
        GatewaySettings(**{name: SecretStr(value) for name, value in fields.items()})
    assert caught.value.variable == variable
    assert "canary" not in caught.value.line
