"""Webhooks in a real stand-in Jira: made, read back, repaired, taken over, removed, and never two of one."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretBytes

from gateway.events import hook_worker, lan_address
from gateway.store import Cause, Kind, Trigger, Watermark, Way
from gateway.triggers import trigger_place
from tests.support.event_world import PUBLIC_URL, event_world, until
from tests.support.fake_jira import CloseBeforeAnswer, CutMidBody, FakeJira, Status
from tests.support.in_process import running_gateway
from tests.support.ports import free_port

PROFILES = ["7.13", "8.20", "9.12", "10.3", "cloud"]
LAN_URL = "http://127.0.0.1:7070"
EVENTS = {"jira:issue_updated", "comment_created"}
MADE = {"jira:issue_created"}
JQL = "project = OPS"
CLASSIC = "/rest/webhooks/1.0/webhook"


def hooks_of(jira):
    return list(jira.webhooks.registered.values())


async def look(world, connection="hq"):
    """Let the registrar look once more, as every ten minutes."""
    async with asyncio.timeout(20):
        await world.registrar._workers[connection].look()


async def state_of(world, hook):
    """What is known of a hook, as soon as it was found right."""
    async with asyncio.timeout(5):
        while True:
            state = (await world.store.hook_states()).get(hook.id)
            if state is not None and state.checked_at is not None and state.problem is None:
                return state
            await asyncio.sleep(0.01)


async def gaps(world, cause=Cause.WEBHOOK):
    return [gap for gap in await world.store.gaps() if gap.cause is cause]


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_trigger_of_an_administrator_is_registered_read_back_and_removed(tmp_path, profile):
    async with FakeJira(profile, context="/jira") as jira, event_world(tmp_path, None, "registrar") as world:
        jira.webhooks.filters_as_json = True
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        settled = await world.registrar.settle("t1")

        assert (settled["kind"], settled["way"], settled["problem"]) == ("registered", "internet", None)
        assert settled["manual"] is None
        [webhook] = hooks_of(jira)
        assert (set(webhook.events), webhook.jql, webhook.enabled, webhook.exclude_body) == (EVENTS, JQL, True, False)
        [hook] = await world.store.hooks()
        assert webhook.name == f"jira-tunnel hq/{hook.id} [{hook.id_hash[:8]}]"
        assert webhook.url.startswith(f"{PUBLIC_URL}/hooks/")
        assert len(webhook.url.rpartition("/")[2]) == 43
        signs = profile in {"10.3", "cloud"}
        assert (hook.signs, bool(webhook.secret)) == (signs, signs)
        assert hook.remote_id == str(webhook.id)
        [entry] = world.directory.subscriptions.hooks
        assert not signs or webhook.secret == entry.secret.get_secret_value()
        await state_of(world, hook)

        await world.remove("t1")
        await until(lambda: not hooks_of(jira))
        await until(lambda: not world.directory.subscriptions.hooks)
        assert jira.crashes == []


@pytest.mark.parametrize("profile", PROFILES)
async def test_through_an_agent_webhooks_lead_to_the_agent(tmp_path, profile):
    async with FakeJira(profile, context="/jira") as jira, running_gateway(tmp_path) as stack:
        admin = jira.users["admin"]
        login = (admin.email, admin.token) if profile == "cloud" else ("admin", "password-of-admin")
        await stack.enroll(
            "plant", jira, jira_token=None, jira_username=login[0], jira_password=login[1],
            policy_profile="webhooks", webhook_targets=LAN_URL + "/hooks/",
        )  # fmt: skip
        announce(stack.gateway.registry)
        async with event_world(tmp_path / "own", stack.gateway.registry, "registrar") as world:
            await world.connect("hq", jira, agent="plant")
            await world.trigger("t1", "hq", EVENTS, JQL)
            settled = await world.registrar.settle("t1")
            assert (settled["kind"], settled["way"], settled["problem"]) == ("registered", "lan", None)
            [webhook] = hooks_of(jira)
            assert webhook.url.startswith(f"{LAN_URL}/hooks/")
            assert world.directory.subscriptions.hashes_of("plant")


async def test_while_the_agent_is_away_nothing_is_decided_and_it_goes_on_when_it_comes(tmp_path):
    async with FakeJira("9.12") as jira, running_gateway(tmp_path) as stack:
        login = {"jira_token": None, "jira_username": "admin", "jira_password": "password-of-admin"}
        agent = await stack.enroll(
            "plant", jira, policy_profile="webhooks", webhook_targets=LAN_URL, start=False, **login
        )
        registry = stack.gateway.registry
        async with event_world(tmp_path / "own", registry, "registrar") as world:
            await world.connect("hq", jira, agent="plant")
            await world.trigger("t1", "hq", EVENTS, JQL)
            settled = await world.registrar.settle("t1")
            assert (settled["kind"], settled["way"], settled["manual"]) == (None, None, None)
            assert "agent_offline" in settled["problem"]
            await stack.start(agent)
            announce(registry)
            await until(lambda: hooks_of(jira) and hooks_of(jira)[-1].url.startswith(LAN_URL))
            await until(lambda: world.directory.subscriptions.trigger("t1").row.kind is Kind.REGISTERED)
            await until(lambda: len(hooks_of(jira)) == 1)
            await agent.stop()
            settled = await world.registrar.settle("t1")
            assert (settled["kind"], settled["way"]) == ("registered", "lan")
            assert "agent_offline" in settled["problem"]


async def test_with_two_instances_the_webhook_stays_with_one_and_moves_when_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(lan_address, "GRACE", timedelta(seconds=2))
    async with FakeJira("9.12") as jira, running_gateway(tmp_path) as stack:
        urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
        options = {
            "jira_token": None,
            "jira_username": "admin",
            "jira_password": "password-of-admin",
            "policy_profile": "webhooks",
            "webhook_targets": ",".join(f"{url}/hooks/" for url in urls),
        }
        agents = {}
        for url in reversed(urls):
            address = url.removeprefix("http://")
            agents[url] = await stack.enroll("plant", jira, webhook_listen=address, webhook_url=url, **options)
        await stack.connect("hq", "plant")
        await add_trigger(stack, "t1")
        first = (await webhook_of(jira)).url.partition("/hooks/")[0]
        [second] = set(urls) - {first}

        await agents[first].stop()
        await until(lambda: hooks_of(jira)[0].url.startswith(second))
        jira.add_issue("while the first one is away")
        await until(lambda: jira.webhooks.deliveries[-1].status == 204)
        await stack.start(agents[first])
        await stack.gateway.events.registrar.settle("t1")
        assert hooks_of(jira)[0].url.startswith(second)
        assert len(hooks_of(jira)) == 1


async def add_trigger(stack, name):
    """Make a trigger of the connection `hq` that is fetched, and wait until it is registered."""
    key = stack.stored.key
    sealed = key.seal(SecretBytes(b"whsec"), trigger_place(name))
    now = datetime.now(UTC)
    async with stack.stored.store.change("test", now) as change:
        await change.add_trigger(Trigger(0, name, "hq", frozenset(MADE), now, sealed_secret=sealed))
    await stack.apply()
    settled = await stack.gateway.events.registrar.settle(name)
    assert settled["kind"] == "registered", settled


async def webhook_of(jira):
    await until(lambda: len(hooks_of(jira)) == 1)
    return hooks_of(jira)[0]


def announce(registry):
    for link in registry.links():
        link.announce({b"webhook-url": LAN_URL.encode()})


async def test_an_agents_policy_that_forbids_it_leaves_it_to_people_and_says_so(tmp_path):
    async with FakeJira("9.12") as jira, running_gateway(tmp_path) as stack:
        login = {"jira_token": None, "jira_username": "admin", "jira_password": "password-of-admin"}
        await stack.enroll("reader", jira, policy_profile="read-only", **login)
        await stack.enroll(
            "elsewhere", jira, policy_profile="webhooks", webhook_targets="https://other.example/", **login
        )
        announce(stack.gateway.registry)
        async with event_world(tmp_path / "own", stack.gateway.registry, "registrar") as world:
            await world.connect("no", jira, agent="reader")
            await world.connect("wrong", jira, agent="elsewhere")
            await world.trigger("t1", "no", EVENTS, JQL)
            await world.trigger("t2", "wrong", EVENTS, JQL)
            first, second = [await world.registrar.settle(name) for name in ("t1", "t2")]

            assert [one["kind"] for one in (first, second)] == ["manual", "manual"]
            assert "policy" in first["note"]
            assert "JIRA_AGENT_WEBHOOK_TARGETS" in second["note"]
            assert first["manual"]["url"].startswith(f"{LAN_URL}/hooks/")
            assert first["manual"]["secret"] is None
            assert (first["problem"], hooks_of(jira)) == (None, [])
            assert [hook.kind for hook in await world.store.hooks()] == [Kind.MANUAL, Kind.MANUAL]


@pytest.mark.parametrize("user", ["svc.bridge", "pat"])  # a plain user, and the administrator of a project
@pytest.mark.parametrize("profile", PROFILES)
async def test_who_may_not_register_gets_the_steps_for_who_may(tmp_path, profile, user):
    async with FakeJira(profile) as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira, user)
        await world.trigger("t1", "hq", EVENTS, JQL)
        settled = await world.registrar.settle("t1")

        assert (settled["kind"], settled["problem"]) == ("manual", None)
        assert "cannot be registered" in settled["note"]
        manual = settled["manual"]
        assert manual["url"].startswith(f"{PUBLIC_URL}/hooks/")
        assert (manual["events"], manual["jql"]) == (sorted(EVENTS), JQL)
        assert (manual["secret"] is not None) == (profile in {"10.3", "cloud"})
        assert any(manual["url"] in step for step in manual["steps"])
        assert hooks_of(jira) == []
        assert await world.registrar.steps("t1") == manual

        await world.trigger("t2", "hq", {"jira:issue_created"}, JQL, wanted="registered")
        refused = await world.registrar.settle("t2")
        assert refused["kind"] is None
        assert "cannot be registered" in refused["problem"]
        assert jira.users[user].failed_logins == 0


def events(webhook, jira):
    webhook.events = ["jira:issue_created"]


def filter_(webhook, jira):
    webhook.jql = ""
    webhook.configuration.pop("FILTERS", None)


def url(webhook, jira):
    webhook.url = "http://127.0.0.1:1/elsewhere"


def renamed(webhook, jira):
    webhook.name = "our webhook"
    webhook.enabled = False


def disabled(webhook, jira):
    webhook.enabled = False


def bodiless(webhook, jira):
    webhook.exclude_body = True
    webhook.configuration["EXCLUDE_BODY"] = "true"


def deleted(webhook, jira):
    del jira.webhooks.registered[webhook.id]


CHANGES = [events, filter_, url, renamed, disabled, bodiless, deleted]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_webhook_that_somebody_changed_is_repaired_and_that_is_a_gap(tmp_path, profile, change):
    async with FakeJira(profile) as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        await world.registrar.settle("t1")
        [webhook] = hooks_of(jira)
        name = webhook.name
        [hook] = await world.store.hooks()
        checked_at = (await state_of(world, hook)).checked_at
        change(webhook, jira)
        world.offset += timedelta(minutes=10)
        await look(world)

        [webhook] = hooks_of(jira)
        assert (set(webhook.events), webhook.jql, webhook.enabled, webhook.exclude_body) == (EVENTS, JQL, True, False)
        assert (webhook.name, webhook.url.startswith(PUBLIC_URL)) == (name, True)
        assert len(await world.store.hooks()) == 1
        [gap] = await gaps(world)
        assert abs(gap.from_at - checked_at) < timedelta(seconds=5)  # it may have been looked at once more
        assert (gap.way, gap.connection) == (Way.INTERNET, "hq")
        assert gap.to_at - gap.from_at >= timedelta(minutes=9)
        await look(world)
        assert len(await gaps(world)) == 1
        assert jira.crashes == []


@pytest.mark.parametrize("profile", ["10.3", "cloud"])
async def test_a_secret_that_somebody_changed_is_set_again_once_webhooks_were_refused(tmp_path, profile):
    async with FakeJira(profile) as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        await world.registrar.settle("t1")
        [webhook], [hook] = hooks_of(jira), await world.store.hooks()
        secret, webhook.secret = webhook.secret, "another"
        await state_of(world, hook)
        world.offset += timedelta(minutes=10)
        world.log.note_hook(hook.id, refused_at=world.now(), refused="its signature is wrong")
        async with asyncio.timeout(5):
            while (await world.store.hook_states())[hook.id].refused_at is None:
                await asyncio.sleep(0.01)
        await look(world)
        [webhook] = hooks_of(jira)
        assert webhook.secret == secret
        assert len(await gaps(world)) == 1


@pytest.mark.parametrize("profile", PROFILES)
async def test_copies_are_deleted_and_webhooks_of_others_are_left_alone(tmp_path, profile):
    async with FakeJira(profile) as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        await world.registrar.settle("t1")
        [mine] = hooks_of(jira)
        for number, changes in (
            (7, {"events": ["jira:issue_created"]}),
            (8, {"name": "chat bot", "url": "https://chat.example"}),
        ):
            copy = type(mine)(**{name: getattr(mine, name) for name in mine.__slots__} | changes | {"id": number})
            jira.webhooks.registered[number] = copy
        await look(world)

        assert sorted(jira.webhooks.registered) == [mine.id, 8]
        assert await gaps(world) == []
        await world.remove("t1")
        await until(lambda: list(jira.webhooks.registered) == [8])


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_restart_and_a_lost_answer_never_make_two(tmp_path, profile):
    async with FakeJira(profile) as jira, event_world(tmp_path, None, "registrar") as world:
        path = jira.profile.webhook_path
        jira.misbehave(path, CutMidBody(0), method="POST", times=1)
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        await until(lambda: jira.matching(path, method="POST"))
        assert len(hooks_of(jira)) == 1  # Jira has it, and we do not know
        await world.restart("registrar")
        assert (await world.registrar.settle("t1"))["problem"] is None
        assert len(hooks_of(jira)) == 1
        assert len(await world.store.hooks()) == 1
        await world.restart("registrar")
        await world.registrar.settle("t1")
        assert len(hooks_of(jira)) == 1
        assert len(jira.matching(path, method="POST")) == 1
        assert await gaps(world) == []


async def test_triggers_share_a_hook_and_its_events_follow_them(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", {"jira:issue_created"}, JQL)
        await world.trigger("t2", "hq", {"comment_created"}, f" {JQL} ")
        await world.trigger("t3", "hq", {"sprint_started"})
        for name in ("t1", "t2", "t3"):
            assert (await world.registrar.settle(name))["problem"] is None
        assert {webhook.jql: set(webhook.events) for webhook in hooks_of(jira)} == {
            JQL: {"jira:issue_created", "comment_created"}, "": {"sprint_started"},
        }  # fmt: skip
        assert (await world.row("t1")).hook == (await world.row("t2")).hook != (await world.row("t3")).hook
        await world.remove("t2")
        await until(lambda: any(webhook.events == ["jira:issue_created"] for webhook in hooks_of(jira)))
        await world.remove("t1")
        await until(lambda: [webhook.events for webhook in hooks_of(jira)] == [["sprint_started"]])


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_jql_that_jira_does_not_accept_is_told_in_its_words_and_registers_nothing(tmp_path, profile):
    async with FakeJira(profile) as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        for number, jql in enumerate(("project = NOPE", "project = OPS) OR (project = HID", 'summary ~ "x')):
            await world.trigger(f"t{number}", "hq", EVENTS, jql)
            settled = await world.registrar.settle(f"t{number}")
            assert settled["kind"] is None
            assert "Jira does not accept the JQL: " in settled["problem"]
        assert "The value 'NOPE' does not exist" in (await world.registrar.settle("t0"))["problem"]
        assert hooks_of(jira) == []


async def test_a_jira_that_was_upgraded_to_10_gets_the_webhook_of_its_new_api(tmp_path):
    async with FakeJira("9.12") as old, FakeJira("10.3") as new, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", old)
        await world.trigger("t1", "hq", EVENTS, JQL)
        await world.registrar.settle("t1")
        await state_of(world, (await world.store.hooks())[0])
        world.offset += timedelta(minutes=10)
        old.profile, old.views.profile = new.profile, new.views.profile
        old.webhooks.registered.clear()
        await look(world)
        [webhook] = hooks_of(old)
        [hook] = await world.store.hooks()
        assert webhook.configuration["SECRET"] == webhook.secret
        assert hook.signs
        assert len(await gaps(world)) == 1


async def test_while_jira_is_silent_nothing_is_decided_and_it_goes_on_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(hook_worker, "pause_after", lambda silent, failures: 0.05)
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar") as world:
        jira.misbehave("/rest", CloseBeforeAnswer())
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        settled = await world.registrar.settle("t1")
        assert settled["kind"] is None
        assert settled["problem"]
        jira.behave()
        await until(lambda: world.directory.subscriptions.trigger("t1").row.kind is Kind.REGISTERED)
        [hook] = await world.store.hooks()
        checked = (await state_of(world, hook)).checked_at
        jira.misbehave("/rest", Status(500))
        await look(world)
        async with asyncio.timeout(5):
            while not (state := (await world.store.hook_states())[hook.id]).problem:
                await asyncio.sleep(0.01)
        assert state.checked_at == checked
        assert (await world.row("t1")).kind is Kind.REGISTERED
        jira.behave()
        await look(world)
        await state_of(world, hook)
        assert await gaps(world) == []


async def test_a_refused_login_is_tried_once_and_then_left_for_minutes(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar", "sweeper") as world:
        jira.users["admin"].password = "another"
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        settled = await world.registrar.settle("t1")
        assert settled["kind"] is None
        assert "jira_login_rejected" in settled["problem"]
        worker = world.registrar._workers["hq"]
        assert worker._due_at - asyncio.get_running_loop().time() > 250
        await look(world)
        assert jira.users["admin"].failed_logins == 1


async def test_with_the_callers_login_there_is_only_the_manual_kind(tmp_path):
    async with FakeJira("10.3") as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("own", jira, credentials="caller")
        await world.trigger("t1", "own", EVENTS, JQL)
        settled = await world.registrar.settle("t1")
        assert (settled["kind"], settled["problem"]) == ("manual", None)
        assert settled["manual"]["secret"]
        [hook] = await world.store.hooks()
        assert hook.signs
        for wanted in ("registered", "polled"):
            await world.trigger(wanted, "own", EVENTS, JQL, wanted=wanted)
            refused = await world.registrar.settle(wanted)
            assert refused["kind"] is None
            assert "own login" in refused["problem"]


async def test_an_account_that_becomes_administrator_takes_the_hook_of_the_steps_over(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira, "svc.bridge")
        await world.trigger("t1", "hq", EVENTS, JQL)
        manual = (await world.registrar.settle("t1"))["manual"]
        by_hand = {"name": "made by Ada", "url": manual["url"], "events": manual["events"], "jql": JQL}
        jira.webhooks.registered[3] = made(jira, 3, **by_hand)
        jira.users["svc.bridge"].groups.add("jira-administrators")
        settled = await world.registrar.settle("t1")
        assert (settled["kind"], settled["manual"]) == ("registered", None)
        [webhook] = hooks_of(jira)
        assert (webhook.id, webhook.url) == (3, manual["url"])
        [hook] = await world.store.hooks()
        assert (hook.kind, hook.remote_id) == (Kind.REGISTERED, "3")


def made(jira, number, **fields):
    from tests.support.fake_jira.delivering import Webhook

    values = {"exclude_body": False, "enabled": True, "secret": None, "owner": jira.users["admin"]}
    return Webhook(id=number, created_ms=0, updated_ms=0, **values, **fields)


async def test_an_account_that_is_no_administrator_any_more_keeps_what_it_registered(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        await world.trigger("t1", "hq", EVENTS, JQL)
        await world.registrar.settle("t1")
        jira.users["admin"].groups.discard("jira-administrators")
        settled = await world.registrar.settle("t1")
        assert settled["kind"] == "registered"
        assert "administrators" in settled["problem"]
        assert len(hooks_of(jira)) == 1


async def test_no_way_from_jira_to_us_means_polling(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path, None, "registrar") as world:
        await world.connect("hq", jira)
        await world.trigger("lan", "hq", EVENTS, JQL, way="lan", wanted="registered")
        await world.trigger("any", "hq", {*EVENTS, "sprint_started"}, JQL, way="lan")
        refused = await world.registrar.settle("lan")
        assert refused["kind"] is None
        assert "no agent" in refused["problem"]
        settled = await world.registrar.settle("any")
        assert settled["kind"] == "polled"
        assert "sprint_started" in settled["note"]
        assert json.dumps(settled)


async def test_from_polling_to_a_webhook_the_time_in_between_is_a_gap(tmp_path):
    async with FakeJira("9.12") as jira, event_world(tmp_path) as world:
        await world.connect("hq", jira)
        row, searched = await world.trigger("t1", "hq", MADE), world.now() - timedelta(minutes=30)
        async with world.store.change("gateway", world.now()) as change:
            await change.decide_trigger("t1", Kind.POLLED, None, "Jira cannot post webhooks")
        world.log.mark(Watermark(f"trigger:{row.id}", searched, searched))
        await world.run_parts("registrar")
        assert (await world.registrar.settle("t1"))["kind"] == "registered"
        await state_of(world, (await world.store.hooks())[0])
        await look(world)
        [gap] = await gaps(world)
        assert abs(gap.from_at - searched) < timedelta(seconds=10)
        assert gap.to_at > searched + timedelta(minutes=29)
