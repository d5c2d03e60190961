"""What a trigger may look like, and what is refused with which words."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from gateway.store import Connection, Credentials, Kind, Trigger, Way
from gateway.trigger_rules import (
    MAX_IDS,
    MAX_TRIGGERS,
    TriggerFields,
    check_connection,
    never_filtered,
    never_found,
    new_trigger,
    read_events,
    read_ids,
    read_since,
)
from gateway.unacceptable import Unacceptable

NOW = datetime(2026, 11, 26, 17, 30, tzinfo=UTC)
CREATED = ("jira:issue_created",)


def made(name="tickets", allow=(), **fields):
    return new_trigger(name, TriggerFields(**{"connection": "hq", "events": CREATED, **fields}), NOW, allow)


def refused(**fields):
    with pytest.raises(Unacceptable) as caught:
        made(**fields)
    return caught.value.field, str(caught.value)


def test_a_trigger_needs_only_a_name_a_connection_and_events():
    row = made(events=("comment_created", " jira:issue_created", "comment_created", ""))
    assert row == Trigger(0, "tickets", "hq", frozenset({"comment_created", "jira:issue_created"}), NOW)
    assert row.poll_seconds == 10


def test_everything_that_is_given_is_kept():
    row = made(
        jql=" project = OPS ",
        deliver_to="https://ci.example.com/jira?key=k",
        wanted=Kind.MANUAL,
        way=Way.INTERNET,
        ordered=True,
    )
    assert (row.jql, row.deliver_to) == ("project = OPS", "https://ci.example.com/jira?key=k")
    assert (row.wanted, row.way, row.ordered) == (Kind.MANUAL, Way.INTERNET, True)
    assert made(poll_seconds=1.0, wanted=Kind.POLLED).poll_seconds == 1


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": "Tickets"}, "name", "is not a name"),
        ({"events": ("issue_created",)}, "events", "did you mean jira:issue_created"),
        ({"events": ("{events}",)}, "events", "'{events}' is no event"),
        ({"events": ()}, "events", "names no event"),
        ({"events": (" ", "")}, "events", "names no event"),
        ({"jql": " "}, "jql", "empty"),
        ({"jql": "a\nb"}, "jql", "more than one line"),
        ({"jql": "ü" * 2049}, "jql", "longer than 4096 bytes"),
        ({"deliver_to": "ftp://x"}, "deliver_to", "deliver_to"),
        ({"deliver_to": "http://ci.example.com/"}, "deliver_to", "https"),
        ({"deliver_to": "https://10.0.0.1/"}, "deliver_to", "private"),
        ({"ordered": True}, "ordered", "goes with deliver_to"),
        ({"poll_seconds": 0.9}, "poll_seconds", "between 1 second and 3600 seconds"),
        ({"poll_seconds": 3601.0}, "poll_seconds", "between"),
        ({"poll_seconds": float("nan")}, "poll_seconds", "between"),
        ({"poll_seconds": 5.0, "wanted": Kind.MANUAL}, "poll_seconds", "goes with kind polled"),
        ({"way": Way.LAN, "wanted": Kind.POLLED}, "way", "there are none with kind polled"),
        ({"events": ("jira:issue_deleted",), "wanted": Kind.POLLED}, "events", "no search finds"),
    ],
)
def test_what_breaks_a_rule_is_refused(fields, field, words):
    blamed, said = refused(**fields)
    assert blamed == field
    assert words in said


def test_an_own_network_may_be_reached_without_tls():
    allow = (ip_network("10.0.0.0/8"),)
    assert made(deliver_to="http://10.0.0.1/", allow=allow).deliver_to == "http://10.0.0.1/"


@pytest.mark.parametrize(
    ("trigger", "connection", "siblings", "field"),
    [
        ({}, {}, MAX_TRIGGERS, "connection"),
        ({"way": Way.LAN}, {"via": "direct", "credentials": Credentials.GATEWAY}, 0, "way"),
        ({"wanted": Kind.POLLED}, {"credentials": Credentials.CALLER}, 0, "kind"),
        ({"wanted": Kind.REGISTERED}, {"credentials": Credentials.CALLER}, 0, "kind"),
    ],
)
def test_what_its_connection_can_never_feed_is_refused(trigger, connection, siblings, field):
    row = Connection(**{"name": "hq", "via": "agent", "credentials": Credentials.AGENT, **connection})
    with pytest.raises(Unacceptable) as caught:
        check_connection(made(**trigger), row, siblings)
    assert caught.value.field == field


def test_what_its_connection_can_feed_is_taken():
    for way, kind, credentials in (
        (Way.LAN, None, Credentials.AGENT),
        (Way.INTERNET, Kind.MANUAL, Credentials.CALLER),
        (None, None, Credentials.CALLER),
    ):
        check_connection(made(way=way, wanted=kind), Connection("hq", "agent", credentials), MAX_TRIGGERS - 1)


def test_what_polling_never_finds_and_what_jql_never_filters_can_be_told():
    events = read_events(["jira:issue_created", "jira:issue_deleted", "user_created"])
    assert never_found(events) == ["jira:issue_deleted", "user_created"]
    assert never_filtered(events) == ["user_created"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("30s", NOW - timedelta(seconds=30)),
        ("2026-11-26T16:00:00Z", datetime(2026, 11, 26, 16, tzinfo=UTC)),
        ("2026-11-26T16:00:00+02:00", datetime(2026, 11, 26, 14, tzinfo=UTC)),
        ("2026-11-26 16:00", datetime(2026, 11, 26, 16, tzinfo=UTC)),
        ("2026-11-26", datetime(2026, 11, 26, tzinfo=UTC)),
    ],
)
def test_a_time_is_written_in_iso_8601_or_as_so_long_ago(text, moment):
    assert read_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2", "-2h", "9999999d", "0001-01-01T00:00:00+23:59", "{since}"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(Unacceptable):
        read_since(text, NOW)


def test_cursors_and_message_ids_are_told_apart():
    message = f"evt_{'0a' * 12}_3"
    assert read_ids(["7", message, "7"]) == ({7}, {message})


@pytest.mark.parametrize("ids", [["x"], ["evt_1"], ["-1"], ["1" * 19], [str(n) for n in range(MAX_IDS + 1)]])
def test_what_is_no_id_or_too_many_are_refused(ids):
    with pytest.raises(Unacceptable):
        read_ids(ids)
