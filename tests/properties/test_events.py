"""Events: whatever a Jira sends is read, and a webhook and a search that tell of one thing give one key."""

import json
import string
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from jira_api.events.finding import found_events
from jira_api.events.reading import read_event
from jira_api.events.sweeping import read_page, updated_since
from jira_api.events.times import EPOCH, milliseconds, moment_of
from jira_api.webhook_api import InvalidWebhook, WebhookApi, differences

# A slow machine is no finding.
calm = settings(max_examples=80, deadline=None)

# -- one issue's life, written as the webhooks that tell of it and as what a search finds afterwards

START, END = 1_772_500_000_000, 1_772_600_000_000
ZONES = [timezone(timedelta(minutes=minutes)) for minutes in (0, 60, 330, -210, 765, -720)]
stamps = st.integers(START, END)
zones = st.sampled_from(ZONES)


class Part(NamedTuple):
    number: int
    created: int
    edits: list[int]
    author: str
    editor: str


class Life(NamedTuple):
    is_cloud: bool
    created: int
    histories: list[tuple[int, int, str]]
    comments: list[Part]
    worklogs: list[Part]
    creator: str


@st.composite
def parts(draw):
    logins = st.sampled_from(["ines", "omar", "svc"])
    created = draw(stamps)
    edits = sorted(draw(st.sets(st.integers(created + 1, END + 1000), max_size=2)))
    return Part(draw(st.integers(1, 10**6)), created, edits, draw(logins), draw(logins))


def unique(strategy):
    return st.lists(strategy, max_size=4, unique_by=lambda one: one[0])


lives = st.builds(
    Life,
    st.booleans(),
    stamps,
    unique(st.tuples(st.integers(1, 10**6), stamps, st.sampled_from(["ines", "omar"]))),
    unique(parts()),
    unique(parts()),
    st.sampled_from(["ines", "omar"]),
)


def date(stamp, zone):
    moment = moment_of(stamp).astimezone(zone)
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{stamp % 1000:03}{offset}"


def user(life, login):
    shape = {"accountId": f"id:{login}"} if life.is_cloud else {"name": login, "key": f"JIRAUSER{login}"}
    return {**shape, "displayName": login.title(), "active": True}


def one_part(life, part, zone, *, edits, as_number):
    return {
        "self": f"https://jira.corp.example/jira/rest/api/2/issue/10942/comment/{part.number}",
        "id": part.number if as_number else str(part.number),
        "author": user(life, part.author),
        "updateAuthor": user(life, part.editor if edits else part.author),
        "created": date(part.created, zone),
        "updated": date(edits[-1] if edits else part.created, zone),
    }


def webhooks(life, zone, draw):
    """Yield every webhook of the life, in the shapes of Server (old and new) and of Cloud."""
    issue = {"id": "10942", "key": "OPS-42", "fields": {"created": date(life.created, zone)}}
    lag = draw(st.integers(0, 5000))

    def body(event, stamp, **more):
        return event, {"timestamp": stamp + lag, "webhookEvent": event, **more}

    named = draw(st.booleans())
    changelog = {"changelog": {"id": "1", "items": []}} if life.is_cloud else {}
    name = {"issue_event_type_name": "issue_created"} if named else {}
    yield body("jira:issue_created", life.created, issue=issue, user=user(life, life.creator), **name, **changelog)
    for number, stamp, login in life.histories:
        name = {"issue_event_type_name": "issue_generic"} if named else {}
        items = {"changelog": {"id": str(number), "items": []}}
        yield body("jira:issue_updated", stamp, issue=issue, user=user(life, login), **name, **items)
    for comment in life.comments:
        yield from comment_webhooks(life, comment, zone, named, issue, body)
    for worklog in life.worklogs:
        for count in range(len(worklog.edits) + 1):
            one = one_part(life, worklog, zone, edits=worklog.edits[:count], as_number=draw(st.booleans()))
            event = "worklog_updated" if count else "worklog_created"
            yield body(event, worklog.created, worklog={**one, "issueId": "10942"})


def comment_webhooks(life, comment, zone, named, issue, body):
    for count in range(len(comment.edits) + 1):
        one = one_part(life, comment, zone, edits=comment.edits[:count], as_number=False)
        stamp = comment.edits[count - 1] if count else comment.created
        small = {"issue": {"id": "10942", "key": "OPS-42"}} if life.is_cloud else {}
        who = {"user": user(life, comment.editor)} if count else {}
        yield body("comment_updated" if count else "comment_created", stamp, comment=one, **who, **small)
        if named or not count:  # old servers do not say that a comment was edited, only that the issue was
            name = {"issue_event_type_name": "issue_comment_edited" if count else "issue_commented"} if named else {}
            yield body("jira:issue_updated", stamp, issue=issue, comment=one, **name)


def search_result(life, zone, draw):
    as_number = draw(st.booleans())

    def listing(lists, parts):
        found = [one_part(life, part, zone, edits=part.edits, as_number=as_number) for part in parts]
        return {"startAt": 0, "maxResults": len(found), "total": len(found), lists: found}

    histories = [
        {"id": number if as_number else str(number), "created": date(stamp, zone), "author": user(life, login)}
        for number, stamp, login in life.histories
    ]
    changes = [life.created, *(stamp for _, stamp, _ in life.histories)]
    changes += [stamp for part in life.comments + life.worklogs for stamp in (part.created, *part.edits)]
    fields = {
        "created": date(life.created, zone),
        "updated": date(max(changes), zone),
        "creator": user(life, life.creator),
        "comment": listing("comments", life.comments),
        "worklog": listing("worklogs", life.worklogs),
    }
    answer = {"issues": [{"id": "10942", "key": "OPS-42", "fields": fields, "changelog": {"histories": histories}}]}
    return read_page(json.dumps(answer).encode()).issues[0]


ALWAYS = EPOCH


@calm
@given(lives, zones, zones, st.data())
def test_webhooks_and_search_results_give_the_same_keys(life, webhook_zone, search_zone, data):
    sent = {}
    for event, document in webhooks(life, webhook_zone, data.draw):
        read = read_event(json.dumps(document).encode())
        assert read.type == event
        assert read.issue_id == "10942"
        sent[read.occurrence, read.type] = read
    found = {}
    for event in found_events(search_result(life, search_zone, data.draw), ALWAYS):
        for kind in event.types:
            found[event.occurrence, kind] = event
    # A search finds of a comment or worklog that was edited twice the last edit only.
    forgotten = {
        f"{name}-updated/{part.number}/{stamp}"
        for name, parts in (("comment", life.comments), ("worklog", life.worklogs))
        for part in parts
        for stamp in part.edits[:-1]
    }
    assert set(sent) - set(found) == {pair for pair in sent if pair[0] in forgotten}
    # What the search adds to the webhooks are the second names of the same things.
    assert {key for key, _ in found} <= {key for key, _ in sent}
    for pair in set(sent) & set(found):
        if pair[1] != "jira:issue_updated" or pair[0].startswith("changelog/"):
            assert sent[pair].actor == found[pair].actor, pair


@calm
@given(lives, zones, st.data())
def test_a_payload_reads_back_as_what_was_found(life, zone, data):
    for event in found_events(search_result(life, zone, data.draw), ALWAYS):
        for kind in event.types:
            read = read_event(event.payload(kind))
            assert (read.type, read.occurrence, read.occurred_at) == (kind, event.occurrence, event.occurred_at)
            assert (read.issue_id, read.issue_key, read.actor) == (event.issue_id, event.issue_key, event.actor)


@calm
@given(lives, zones, st.lists(stamps, min_size=1, max_size=4), st.data())
def test_windows_that_touch_find_everything_once(life, zone, cuts, data):
    issue = search_result(life, zone, data.draw)
    whole = [event.occurrence for event in found_events(issue, ALWAYS)]
    edges = [ALWAYS, *(moment_of(cut) for cut in sorted(cuts)), None]
    pieces = [
        event.occurrence
        for since, until in pairwise(edges)
        for event in found_events(issue, since, until)
        if not event.occurrence.startswith("issue-updated/")
    ]
    assert sorted(pieces) == sorted(whole)


# -- whatever anybody sends

surrogates = st.sampled_from(["\ud800", "\udfff", "\x00", "\u202e", "\U0001f600"])
texts = st.text(st.characters() | surrogates, max_size=40) | st.sampled_from(
    ["10942", "2026-03-03T10:02:45.000+0100", "issue_commented", "issue_comment_edited", "x" * 300]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.integers(10**18, 10**20)
NAMES = [
    "webhookEvent", "timestamp", "issue_event_type_name", "issue", "comment", "worklog", "changelog", "user", "id", "key",
    "self", "created", "updated", "author", "updateAuthor", "fields", "name", "accountId", "displayName", "sprint",
    "issueId", "histories", "comments", "worklogs", "items", "url", "events", "configuration", "filters", "FILTERS",
]  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | texts, inner, max_size=6),
    max_leaves=25,
)
events = st.sampled_from([
    "jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "jira:worklog_updated", "comment_created",
    "comment_updated", "comment_deleted", "worklog_updated", "sprint_started", "user_created", "issue_property_set",
])  # fmt: skip
documents = st.fixed_dictionaries(
    {"webhookEvent": events | values},
    optional={
        name: st.dictionaries(st.sampled_from(NAMES), values, max_size=5) | values
        for name in ("timestamp", "issue", "comment", "worklog", "changelog", "user", "issue_event_type_name", "sprint")
    },
)
ALLOWED = set(string.ascii_letters + string.digits + "_:.-")


@calm
@given(documents.map(json.dumps).map(str.encode) | values.map(json.dumps).map(str.encode) | st.binary(), texts, texts)
def test_every_body_is_read_into_bounded_texts(body, query, identifier):
    read = read_event(body, query=query, identifier=identifier)
    assert 0 < len(read.type) <= 64
    assert set(read.type) <= ALLOWED
    for text in (read.issue_id, read.issue_key):
        assert text is None or (0 < len(text) <= 255 and text.isascii())
    assert read.occurrence is None or (read.occurrence.isascii() and len(read.occurrence) < 400)
    assert read.occurred_at is None or read.occurred_at.tzinfo is UTC
    for text in (read.actor or {}).values():
        assert 0 < len(text) <= 255
        assert text.isprintable()
        text.encode()
    assert read == read_event(body, query=query, identifier=identifier)


@calm
@given(st.dictionaries(st.sampled_from([*NAMES, "id"]), values), st.none() | stamps)
def test_every_search_result_gives_events_that_can_be_written(issue, until):
    issue = json.loads(json.dumps({"id": "1", **issue}))
    for event in found_events(issue, ALWAYS, until and moment_of(until)):
        for kind in event.types:
            assert read_event(event.payload(kind)).type == kind


@calm
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=8) | values, max_size=3), st.booleans())
def test_every_list_of_webhooks_is_read_or_refused(entries, is_modern):
    api = WebhookApi(is_modern=is_modern, signs=is_modern)
    for webhook in api.read_list(json.dumps(entries).encode()):
        assert webhook.remote_id.isdigit()
        for text in (webhook.name, webhook.url, webhook.jql or "", *webhook.events, *differences(webhook, webhook)):
            text.encode()
    for entry in entries:
        with suppress(InvalidWebhook):
            api.read(json.dumps(entry).encode())


# -- moments in JQL

WHEN = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - it is in UTC
# Changes of clocks by one hour, by half an hour, at midnight, by a quarter of a day's date, and none at all.
PLACES = [
    "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "America/Havana", "Antarctica/Troll",
    "Pacific/Chatham", "Pacific/Apia", "Africa/Casablanca", "UTC",
]  # fmt: skip
CHANGES = st.sampled_from([
    datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 3, 8, 5, tzinfo=UTC),
])  # fmt: skip
NEAR = st.builds(lambda change, seconds: change + timedelta(seconds=seconds), CHANGES, st.integers(-9000, 9000))


@calm
@given(WHEN | NEAR, st.sampled_from(PLACES))
def test_jira_never_understands_a_later_moment_than_was_meant(since, place):
    text = updated_since(None, since, place, since).split('"')[1]
    wall = datetime.strptime(text, "%Y/%m/%d %H:%M").replace(tzinfo=ZoneInfo(place))
    understood = {wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
    assert len(understood) == 1
    assert understood.pop() <= since
    assert since - wall.astimezone(UTC) <= timedelta(hours=4, minutes=1)


@calm
@given(WHEN, st.integers(0, 10**6), st.sampled_from([None, "No/Where", "\ud800"]))
def test_a_relative_moment_allows_for_the_way_to_jira(now, seconds, zone):
    since = now - timedelta(seconds=seconds)
    minutes = int(updated_since(None, since, zone, now).split('"')[1].removeprefix("-").removesuffix("m"))
    assert now + timedelta(minutes=2) - timedelta(minutes=minutes) <= since
    assert since - (now - timedelta(minutes=minutes)) <= timedelta(minutes=3)


@calm
@given(st.integers(0, 253_402_300_799_999))
def test_moments_and_milliseconds_are_the_same_thing(stamp):
    assert milliseconds(moment_of(stamp)) == stamp
