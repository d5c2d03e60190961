"""The JQL subset on the seeded issues."""

from datetime import timedelta

import pytest

from tests.support.fake_jira.jql import Context, JqlError, parse_jql
from tests.support.fake_jira.people import People
from tests.support.fake_jira.seed import EPOCH, seed_people, seed_store
from tests.support.fake_jira.store import Store


@pytest.fixture(scope="module")
def store():
    people = People(cloud=False, pat=True)
    seed_people(people)
    store = Store(lambda: EPOCH + timedelta(days=2))
    seed_store(store, people)
    yield store, people
    store.close()


def search(store, jql, user="omar.haddad"):
    records, people = store
    context = Context(people.users[user], records.now(), frozenset({"OPS", "HID"}), frozenset(people.users))
    return [issue.key for issue in parse_jql(jql, context).run(list(records.issues.values()))]


@pytest.mark.parametrize(
    ("jql", "keys"),
    [
        ("key = OPS-42", ["OPS-42"]),
        ("key in (OPS-7, 'OPS-42') order by key", ["OPS-7", "OPS-42"]),
        ('summary ~ "valve in hall" AND project = OPS', ["OPS-42"]),
        ('text ~ "spare part"', ["OPS-42"]),
        ("project = HID ORDER BY key DESC", ["HID-3", "HID-2", "HID-1"]),
        ("project=OPS and key>=OPS-59 order by key asc", ["OPS-59", "OPS-60"]),
        ("key = OPS-1 OR (key = OPS-2 AND NOT status = Done) ORDER BY key", ["OPS-1"]),
        ("key in (OPS-1, OPS-2) AND assignee = currentUser()", ["OPS-2"]),
        ("key in (OPS-1, OPS-2) AND assignee is EMPTY", ["OPS-1"]),
        ("key in (OPS-1, OPS-2) AND assignee is not EMPTY", ["OPS-2"]),
        ("key in (OPS-1, OPS-2) AND assignee not in (omar.haddad)", ["OPS-1"]),
        ("labels = plant AND key <= OPS-10 ORDER BY key ASC", ["OPS-5", "OPS-10"]),
        ('project = HID AND created >= "2026-03-03 09:00"', ["HID-3", "HID-2", "HID-1"]),
        ("project = HID AND updated >= -1h", ["HID-3", "HID-2", "HID-1"]),
        ("project = OPS AND updated >= -25h", ["OPS-42"]),
        ("key in (OPS-1,OPS-2,OPS-3) order by priority desc, key", ["OPS-1", "OPS-2", "OPS-3"]),
        ("status != 'To Do' and key in (OPS-3, OPS-4)", ["OPS-4"]),
    ],
)
def test_a_query_finds(store, jql, keys):
    found = search(store, jql)
    assert sorted(found) == sorted(keys)
    if "order by" in jql.lower():
        assert found == keys


def test_no_clause_finds_everything_newest_key_first(store):
    found = search(store, "")
    assert (len(found), found[0]) == (63, "OPS-60")


@pytest.mark.parametrize(
    ("jql", "part"),
    [
        ("project = NOPE", "The value 'NOPE' does not exist for the field 'project'."),
        ("colour = red", "Field 'colour' does not exist"),
        ("project = OPS AND", "before the end of the query"),
        ("project OPS", "Expecting operator"),
        ("project = OPS key = OPS-1", "Expecting either 'OR' or 'AND'"),
        ('summary ~ "open', "has not been completed"),
        ("updated >= yesterday", "Date value 'yesterday'"),
        ("status = Lost", "The value 'Lost' does not exist for the field 'status'."),
        ("assignee = nobody", "The value 'nobody' does not exist for the field 'assignee'."),
        ("project = OPS order by colour", "Field 'colour'"),
        ("assignee = members()", "Unable to find JQL function"),
        ("summary > 'a'", "not supported"),
    ],
)
def test_a_bad_query_says_why(store, jql, part):
    with pytest.raises(JqlError) as caught:
        search(store, jql)
    assert part in caught.value.message
