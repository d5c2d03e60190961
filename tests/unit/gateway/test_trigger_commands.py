"""`jira-gateway triggers` on a stopped gateway: what is printed where, what is refused, and with which status."""

import asyncio
import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from gateway.__main__ import app
from gateway.directory import read_directory
from gateway.sealing import load_secret_key
from gateway.store import Cause, Gap, Kind, NewEvent, Settled, State, Way, open_store
from gateway.store.event_store import open_event_store
from gateway.store.event_writing import Batch
from runtime.exits import DENIED, OK, USAGE, run_command
from tests.support.shell import Shell

NOW = datetime.now(UTC).replace(microsecond=0)
ADD = ("triggers", "add", "--connection", "main", "--name")
EVENTS = ("--events", "jira:issue_created,comment_created")
SENT = ("--deliver-to", "https://ci.example.com/jira?key=k")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A state directory with a connection and two triggers, made once and copied for each test."""
    made = tmp_path_factory.mktemp("template") / "state"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JIRA_GATEWAY_STATE_DIR", str(made))
        environment.setenv("JIRA_GATEWAY_TUNNEL_URL", "wss://gateway.example.com:8443")
        for words in (
            ("agents", "invite", "hq"),
            ("connections", "add", "main", "--via", "hq", "--credentials", "agent"),
            (*ADD, "tickets", *EVENTS, *SENT),
            (*ADD, "fetched", *EVENTS),
        ):
            assert run_command(app, "jira-gateway", words) == OK
    return made


@pytest.fixture
def state(tmp_path, monkeypatch, template):
    for name in [name for name in os.environ if name.startswith("JIRA_GATEWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JIRA_GATEWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("JIRA_GATEWAY_TUNNEL_URL", "wss://gateway.example.com:8443")
    shutil.copytree(template, tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def gateway(state, capfd):
    return Shell(capfd)


def at_store(state, job):
    """Run a coroutine with the open store and its events."""

    async def work():
        key = load_secret_key(state, None)
        path = state / "gateway.db"
        async with open_store(path, key, NOW) as store, open_event_store(path) as events:
            return await job(store, events)

    return asyncio.run(work())


def new_event(number, trigger=1, **fields):
    event = {
        "connection": "main",
        "occurrence": f"issue-created/{number}",
        "type": "jira:issue_created",
        "received_at": NOW - timedelta(minutes=10 - number),
        "triggers": (trigger,),
        "issue_key": f"OPS-{number}",
        "body": b'{\n\t"issue": "%d"}' % number,
    }
    return NewEvent(**{**event, **fields})


def store_events(state, *new):
    """Store events; return the numbers of their deliveries."""

    async def job(_, events):
        return [made[0].number for made in await events.write(Batch(events=list(new)))]

    return at_store(state, job)


def settle(state, *outcomes):
    async def job(_, events):
        await events.write(Batch(settled=[Settled(*outcome, NOW) for outcome in outcomes]))

    at_store(state, job)


@pytest.fixture
def numbers(state):
    """Four events of `tickets`: delivered, dead, pending after a failure, pending."""
    made = store_events(state, *(new_event(number) for number in range(1, 5)))
    settle(
        state,
        (made[0], State.DELIVERED, 1, None, 200, None),
        (made[1], State.DEAD, 10, None, 500, "It answered 500."),
        (made[2], State.PENDING, 1, NOW + timedelta(minutes=5), None, "x gave no whole answer within 15 s."),
    )
    return made


def lines(out):
    return out.splitlines()


# Adding


def test_the_secret_is_printed_once_alone_on_standard_output(gateway, state):
    out = gateway(*ADD, "new", *EVENTS, *SENT)

    assert re.fullmatch(r"whsec_[A-Za-z0-9+/=]{40,}\n", out)
    assert "whsec_" not in gateway.err
    assert "decides when it runs" in gateway.err
    everything = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert out.strip().encode() not in everything
    assert out.strip() not in gateway("triggers", "show", "new", "--json") + gateway("audit", "list")


def test_a_trigger_that_sends_nothing_has_no_secret_to_print(gateway):
    assert gateway(*ADD, "new", *EVENTS) == ""
    assert "Its events are fetched" in gateway.err


def test_a_trigger_as_json(gateway):
    made = gateway.json(*ADD, "new", *EVENTS, *SENT, "--ordered")
    assert made["secret"].startswith("whsec_")
    del made["secret"]
    assert made == {"name": "new", "kind": None, "way": None, "note": None, "problem": None, "manual": None}
    assert gateway.json(*ADD, "other", *EVENTS)["secret"] is None


def test_everything_that_is_given_is_kept(gateway):
    words = ("--jql", "project = OPS", "--kind", "polled", "--poll-interval", "30s")
    gateway(*ADD, "new", *EVENTS, *words)
    row = gateway.json("triggers", "show", "new")
    assert (row["jql"], row["wanted"], row["poll_seconds"]) == ("project = OPS", "polled", 30)
    assert row["events"] == ["comment_created", "jira:issue_created"]
    gateway(*ADD, "wan", *EVENTS, "--way", "internet", "--kind", "manual")
    assert gateway.json("triggers", "show", "wan")["way"] == "internet"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--events issue_created", "did you mean jira:issue_created"),
        ("--events ,", "--events names no event"),
        ("--events comment_created --deliver-to http://10.0.0.1/", "--deliver-to"),
        ("--events comment_created --ordered", "--ordered goes with --deliver-to"),
        ("--events comment_created --kind some", "registered, manual, polled"),
        ("--events comment_created --way out", "lan, internet"),
        ("--events comment_created --kind polled --way lan", "--way is where webhooks arrive"),
        ("--events comment_created --kind manual --poll-interval 5s", "--poll-interval goes with --kind polled"),
        ("--events comment_created --poll-interval 2h", "--poll-interval is not between"),
        ("", "--events"),
    ],
)
def test_flags_that_break_a_rule_are_a_usage_error_and_nothing_is_stored(gateway, flags, words):
    assert gateway(*ADD, "new", *flags.split(), status=USAGE) == ""
    assert words in " ".join(gateway.err.split())
    assert [row["name"] for row in gateway.json("triggers", "list")] == ["fetched", "tickets"]


@pytest.mark.parametrize(
    "words",
    [
        (*ADD, "tickets", *EVENTS),
        ("triggers", "add", "--connection", "nothing", "--name", "new", *EVENTS),
        ("triggers", "show", "nothing"),
        ("triggers", "events", "nothing"),
        ("triggers", "rotate", "nothing"),
        ("triggers", "enable", "nothing"),
        ("triggers", "remove", "nothing"),
        ("triggers", "replay", "nothing", "--dead"),
    ],
)
def test_what_does_not_exist_or_exists_already_is_one_line_and_status_1(gateway, words):
    assert gateway(*words, status=DENIED) == ""
    assert gateway.err.startswith("jira-gateway: ")
    assert gateway.err.count("\n") == 1


# What is there


def test_triggers_are_listed_with_what_waits_and_what_was_given_up(gateway, numbers):
    table = gateway("triggers", "list")
    row = gateway.json("triggers", "list")[1]

    assert (row["name"], row["state"], row["kind"]) == ("tickets", "deciding", None)
    assert row["counts"] == {"pending": 2, "delivered": 1, "dead": 1, "kept": 0}
    assert row["deliver_to"].endswith("?key=k")
    assert "key=k" not in table
    assert re.search(r"tickets +main +deciding +- +- +https://ci.example.com/jira +2 +1 +-", table)


def test_a_trigger_shows_how_it_learns_of_events(gateway, state, numbers):
    async def job(store, events):
        async with store.change("gateway", NOW) as change:
            hook = await change.add_hook(hook_row())
            await change.decide_trigger("tickets", Kind.REGISTERED, hook.id, "the account may register webhooks")
            await change.disable_trigger("tickets", "It answered 410 Gone.")
        news = {hook.id: {"checked_at": NOW, "last_event_at": NOW, "problem": "its filter is another"}}
        gaps = [gap("ours", Way.LAN), gap("both", None), gap("elsewhere", Way.INTERNET), gap("foreign", None, "other")]
        await events.write(Batch(hook_news=news, gaps=gaps))

    at_store(state, job)
    row = gateway.json("triggers", "show", "tickets")
    out = gateway("triggers", "show", "tickets")

    assert (row["state"], row["kind"], row["way"]) == ("disabled", "registered", "lan")
    assert (row["note"], row["problem"]) == ("the account may register webhooks", "its filter is another")
    assert (row["hook"]["remote_id"], row["hook"]["first_event_at"]) == ("17", NOW.isoformat())
    assert [found["cause"] for found in row["open_gaps"]] == ["agent", "agent"]
    assert row["manual"] is None
    assert "It answered 410 Gone." in out
    assert "2 pending, 1 delivered, 1 dead" in out
    assert gateway.err.count("Gap not looked through yet") == 2


def test_a_polled_trigger_shows_how_far_it_looked_and_what_it_cannot_see(gateway, state):
    words = ("--events", "jira:issue_created,jira:issue_deleted,user_created", "--jql", "project = OPS")
    gateway(*ADD, "new", *words)

    async def job(store, events):
        from gateway.store import Watermark

        async with store.change("gateway", NOW) as change:
            await change.decide_trigger("new", Kind.POLLED, None, "asked for")
        await events.write(Batch(watermarks={"trigger:3": Watermark("trigger:3", NOW, NOW, "Jira does not answer")}))

    at_store(state, job)
    row = gateway.json("triggers", "show", "new")
    assert row["watermark"] == {
        "until": NOW.isoformat(),
        "looked_at": NOW.isoformat(),
        "problem": "Jira does not answer",
    }
    assert row["problem"] == "Jira does not answer"
    assert (row["never_found"], row["never_filtered"]) == (["jira:issue_deleted", "user_created"], ["user_created"])
    assert row["hook"] is None


def hook_row():
    from gateway.store import Hook

    return Hook(0, "main", Way.LAN, Kind.REGISTERED, "ab" * 32, NOW, sealed_id=b"x", sealed_secret=b"y", remote_id="17")


def gap(uid, way, connection="main"):
    return Gap(0, uid, connection, Cause.AGENT, NOW - timedelta(hours=1), NOW, NOW, way)


# Events


def test_events_are_one_line_each_with_what_became_of_them(gateway, numbers):
    shown = lines(gateway("triggers", "events", "tickets"))
    assert len(shown) == 4
    cells = [line.split() for line in shown]
    assert [int(row[0]) for row in cells] == numbers
    assert [row[3:6] for row in cells] == [
        ["jira:issue_created", "OPS-1", "delivered"],
        ["jira:issue_created", "OPS-2", "dead"],
        ["jira:issue_created", "OPS-3", "pending"],
        ["jira:issue_created", "OPS-4", "pending"],
    ]
    assert shown[1].endswith("10  It answered 500.")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--after {1}", [2, 3]),
        ("--last 1", [3]),
        ("--last 0", []),
        ("--last 9", [0, 1, 2, 3]),
        ("--state dead", [1]),
        ("--state pending,delivered", [0, 2, 3]),
        ("--state pending --last 1", [3]),
        ("--state pending --after {2}", [3]),
    ],
)
def test_events_can_be_chosen(gateway, numbers, flags, expected):
    shown = lines(gateway("triggers", "events", "tickets", *flags.format(*numbers).split()))
    assert [int(line.split()[0]) for line in shown] == [numbers[index] for index in expected]
    if not expected:
        assert gateway.err == "No events of tickets.\n"


def test_events_as_json_are_one_ascii_line_each_whatever_jira_wrote(gateway, state):
    body = '{\r\n\t"summary": "Zeile\\n2 \u2013 \U0001f600 \u2028 \x7f"}'.encode()
    store_events(state, new_event(1, trigger=2, body=body, kept_for=frozenset({2})))
    out = gateway("triggers", "events", "fetched", "--json")
    row = json.loads(out)

    assert out.count("\n") == 1
    assert out.isascii()
    assert row["event"]["payload"] == {"summary": "Zeile\n2 \u2013 \U0001f600 \u2028 \x7f"}
    assert (row["state"], row["attempts"], row["last_error"]) == ("kept", 0, None)
    assert row["event"]["id"].startswith("evt_")


def test_more_events_than_a_page_are_all_shown_in_order(gateway, state):
    made = store_events(state, *(new_event(number) for number in range(250)))
    assert [int(line.split()[0]) for line in lines(gateway("triggers", "events", "tickets"))] == made
    shown = [json.loads(line)["cursor"] for line in lines(gateway("triggers", "events", "tickets", "--json"))]
    assert shown == [str(number) for number in made]


def test_text_of_others_does_not_command_the_terminal(gateway, state):
    (number,) = store_events(state, new_event(1, issue_key="OPS\x1b[2J-1"))
    settle(state, (number, State.DEAD, 1, None, None, "bell \x07"))
    out = gateway("triggers", "events", "tickets")
    assert "\x1b" not in out
    assert "\x07" not in out


@pytest.mark.parametrize("flags", ["--after 1 --last 1", "--after -1", "--state lost", "--follow --state dead"])
def test_flags_of_events_that_contradict_are_a_usage_error(gateway, flags):
    gateway("triggers", "events", "tickets", *flags.split(), status=USAGE)


# Changing


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--since 1d", [0, 1, 2, 3]),
        ("--since {since}", [2, 3]),
        ("--since 1d --dead", [1]),
        ("--dead", [1]),
        ("--id {0} --id {message}", [0, 1]),
        ("--id {0} --dead", []),
    ],
)
def test_a_replay_makes_deliveries_due_as_if_never_tried(gateway, numbers, flags, expected):
    message = json.loads(lines(gateway("triggers", "events", "tickets", "--json"))[1])["event"]["id"]
    since = (NOW - timedelta(minutes=7, seconds=30)).isoformat()
    made = gateway.json("triggers", "replay", "tickets", *flags.format(*numbers, message=message, since=since).split())
    rows = [json.loads(line) for line in lines(gateway("triggers", "events", "tickets", "--json"))]

    assert made == {"name": "tickets", "count": len(expected)}
    again = [index for index in expected if rows[index]["state"] != "pending" or rows[index]["attempts"]]
    assert again == []
    untouched = {0: "delivered", 1: "dead"}
    assert all(rows[index]["state"] == state for index, state in untouched.items() if index not in expected)


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ("", USAGE),
        ("--since 1d --id 1", USAGE),
        ("--since soon", USAGE),
        ("--id x", USAGE),
        ("--id evt_000000000000000000000000_1", DENIED),
    ],
)
def test_a_replay_that_is_unclear_sends_nothing(gateway, numbers, flags, status):
    assert gateway("triggers", "replay", "tickets", *flags.split(), status=status) == ""
    assert gateway.json("triggers", "list")[1]["counts"]["pending"] == 2


def test_what_is_only_fetched_is_not_sent_again_and_has_no_secret(gateway):
    gateway("triggers", "replay", "fetched", "--since", "1d", status=USAGE)
    assert "--deliver-to" in gateway.err
    gateway("triggers", "rotate", "fetched", status=USAGE)


def test_a_new_secret_is_printed_alone_and_the_old_one_signs_for_a_while(gateway, state):
    first = gateway(*ADD, "new", *EVENTS, *SENT).strip()
    second = gateway("triggers", "rotate", "new", "--overlap", "1h").strip()
    third = gateway.json("triggers", "rotate", "new")["secret"]

    async def keys(store, _):
        directory = await read_directory(store, load_secret_key(state, None))
        return [key.get_secret_value() for key in directory.subscriptions.trigger("new").secrets(datetime.now(UTC))]

    assert len({first, second, third}) == 3
    assert at_store(state, keys) == [third, second]
    until = datetime.fromisoformat(gateway.json("triggers", "show", "new")["previous_until"])
    assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)


def test_a_disabled_trigger_is_enabled_again(gateway, state):
    async def job(store, _):
        async with store.change("gateway", NOW) as change:
            await change.disable_trigger("tickets", "It answered 410 Gone.")

    at_store(state, job)
    assert gateway.json("triggers", "list")[1]["state"] == "disabled"
    gateway("triggers", "enable", "tickets")
    assert gateway.json("triggers", "list")[1]["state"] == "deciding"


def test_a_webhook_made_by_hand_is_left_to_those_who_made_it(gateway, state):
    async def job(store, _):
        async with store.change("gateway", NOW) as change:
            await change.decide_trigger("tickets", Kind.MANUAL, None, "no administrator")

    at_store(state, job)
    gateway("triggers", "remove", "tickets")
    assert "stays in Jira" in gateway.err
    gateway("triggers", "remove", "fetched")
    assert "stays in Jira" not in gateway.err


def test_a_removed_trigger_is_gone_with_its_deliveries(gateway, state, numbers):
    gateway("triggers", "remove", "tickets")
    assert [row["name"] for row in gateway.json("triggers", "list")] == ["fetched"]

    async def left(_, events):
        return await events.counts()

    assert at_store(state, left) == {}
    records = gateway.json("audit", "list")
    assert (records[-1]["action"], records[-1]["subject"]) == ("trigger.remove", "tickets")
