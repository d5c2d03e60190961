"""Searches page by page over a set that moves, with answers that are too large, and issues that are not whole."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import AGENT_OFFLINE, JIRA_PROTOCOL, Problem
from gateway.events import searching
from gateway.events.jira_client import JiraAnswer, JiraSilent
from gateway.events.searching import PAGE, QueryRefused, Search, state_of
from jira_api.events.fields import MAX_VALUES
from jira_api.server_info import ServerInfo

SERVER = ServerInfo("https://jira", "9.12.5", (9, 12, 5), "Server", "Jira")
CLOUD = ServerInfo("https://jira", "1001", (1001, 0, 0), "Cloud", "Jira")


class Jira:
    """A set of issues that is searched; `on_page` is called before each answer."""

    def __init__(self, count, on_page=lambda jira: None):
        self.updated = 0
        self.issues = [self.issue(number) for number in range(count)]
        self.on_page = on_page
        self.asked = []
        self.sizes = []
        self.limit = 1_000_000
        self.answer = None
        self.comments = {}
        self.entry = None

    def issue(self, number):
        self.updated += 1
        return {"id": str(number), "fields": {"updated": str(self.updated)}}

    def touch(self, index):
        """Change an issue: it goes to the end."""
        self.issues.append(self.issue(int(self.issues.pop(index)["id"])))

    async def send_as_account(self, request, seconds=0.0):
        if request.method == b"GET":
            return self.part(request.target.decode())
        self.on_page(self)
        if self.answer is not None:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer
        wanted = json.loads(request.body)
        size = wanted["maxResults"]
        start = wanted.get("startAt", int(wanted.get("nextPageToken", 0)))
        self.asked.append(start)
        self.sizes.append(size)
        if size > self.limit:
            raise JiraSilent(Problem(JIRA_PROTOCOL, "too large"))
        page = self.issues[start : start + size]
        end = start + len(page)
        document = {"issues": page, "startAt": start, "total": len(self.issues)}
        if "search/jql" in request.target.decode():
            document = {"issues": page, "isLast": end >= len(self.issues), "nextPageToken": str(end)}
        return JiraAnswer(200, [], json.dumps(document).encode())

    def part(self, target):
        number = target.split("/")[5]
        start = int(parse_qs(urlsplit(target).query)["startAt"][0])
        if number not in self.comments:
            return JiraAnswer(404)
        listed = [{"id": str(one)} for one in range(self.comments[number])][start : start + 30]
        return JiraAnswer(200, [], json.dumps({"comments": listed, "total": self.comments[number]}).encode())


async def everything(jira, server=SERVER, known=frozenset()):
    search, found = Search(jira, server, "x", known), []
    while (issues := await search.next()) is not None:
        found += issues
    return found


def numbers(issues):
    return [int(issue["id"]) for issue in issues]


@pytest.mark.parametrize("server", [SERVER, CLOUD])
@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
async def test_all_pages_of_a_set_that_stands_still(server, count):
    assert numbers(await everything(Jira(count), server)) == list(range(count))


@pytest.mark.parametrize("moved", [1, 2, PAGE - 1, PAGE, PAGE + 5])
async def test_what_moves_up_when_others_change_is_not_passed_over(moved):
    def change(jira):
        if len(jira.asked) == 2:
            for _ in range(moved):
                jira.touch(0)

    jira = Jira(4 * PAGE, change)
    found = await everything(jira)
    assert set(numbers(found)) == set(range(4 * PAGE))
    states = [(issue["id"], issue["fields"]["updated"]) for issue in found]
    assert len(states) == len(set(states))
    last = {issue["id"]: issue["fields"]["updated"] for issue in jira.issues}
    assert {number: updated for number, updated in states if last[number] == updated} == last


async def test_a_set_that_never_stands_still_has_an_end():
    jira = Jira(3 * PAGE, lambda jira: jira.touch(0))
    assert set(numbers(await everything(jira))) == set(range(3 * PAGE))
    assert len(jira.asked) < 60


async def test_what_is_too_large_is_asked_for_in_smaller_pages():
    jira = Jira(100)
    jira.limit = 3
    assert numbers(await everything(jira)) == list(range(100))
    assert jira.sizes[:3] == [50, 12, 3]


async def test_pages_with_more_values_than_are_read_are_asked_for_in_smaller_ones():
    jira = Jira(20)
    for issue in jira.issues:
        issue["fields"]["customfield_1"] = [0] * (MAX_VALUES // 5)
    assert set(numbers(await everything(jira))) == set(range(20))
    assert jira.sizes[:3] == [50, 12, 3]


@pytest.mark.parametrize("server", [SERVER, CLOUD])
async def test_a_search_without_an_end_is_given_up(server, monkeypatch):
    monkeypatch.setattr(searching, "MAX_PAGES", 20)

    class Endless(Jira):
        async def send_as_account(self, request, seconds=0.0):
            self.issues += [self.issue(len(self.issues)) for _ in range(2 * PAGE)]
            return await super().send_as_account(request, seconds)

    jira = Endless(PAGE)
    with pytest.raises(JiraSilent, match="no end"):
        await everything(jira, server)
    assert len(jira.asked) == 20


async def test_issues_with_many_comments_are_returned_before_they_are_too_many_in_memory(monkeypatch):
    monkeypatch.setattr(searching, "MAX_PART_BYTES", 300)
    jira = Jira(4)
    for number, issue in enumerate(jira.issues):
        jira.comments[str(number)] = 10
        issue["fields"]["comment"] = {"comments": [], "total": 10}
    search, pages = Search(jira, SERVER, "x"), []
    while (issues := await search.next()) is not None:
        pages.append([(issue["id"], len(issue["fields"]["comment"]["comments"])) for issue in issues])
    assert pages == [[("0", 10), ("1", 10)], [("2", 10), ("3", 10)]]
    assert len(jira.asked) == 1


async def test_of_one_issue_no_more_comments_are_fetched_than_there_may_be_in_memory(monkeypatch):
    monkeypatch.setattr(searching, "MAX_PART_BYTES", 1000)
    jira = Jira(1)
    jira.comments["0"] = 200
    jira.issues[0]["fields"]["comment"] = {"comments": [], "total": 200}
    [issue] = await everything(jira)
    assert 0 < len(issue["fields"]["comment"]["comments"]) < 200


def test_a_state_is_short_whatever_a_jira_says():
    assert state_of({"id": "1", "fields": {"updated": "x" * 10_000}}) == ("1", "x" * 40)
    assert state_of({"id": "1", "fields": {"updated": {"x": "y"}}}) == state_of({"id": "1"}) == ("1", "")


async def test_pages_of_one_issue_go_on_one_by_one():
    jira = Jira(20)
    jira.limit = 1
    assert numbers(await everything(jira)) == list(range(20))
    assert len(jira.asked) == 20 + 3


async def test_issues_that_leave_the_set_meanwhile_hide_none_of_the_others():
    def leave(jira):
        if len(jira.asked) == 1:
            del jira.issues[:PAGE]

    assert set(numbers(await everything(Jira(2 * PAGE, leave)))) == set(range(2 * PAGE))


async def test_one_issue_that_is_too_large_and_an_agent_that_is_away_are_told():
    jira = Jira(3)
    jira.limit = 0
    with pytest.raises(JiraSilent):
        await everything(jira)
    assert jira.sizes == [50, 12, 3, 1]
    jira.answer = JiraSilent(Problem(AGENT_OFFLINE, "away"))
    jira.sizes.clear()
    with pytest.raises(JiraSilent):
        await everything(jira)
    assert jira.sizes == []


async def test_jiras_words_about_a_query_are_kept():
    jira = Jira(1)
    jira.answer = JiraAnswer(400, [], b'{"errorMessages":["The value \'X\' does not exist."]}')
    with pytest.raises(QueryRefused) as refused:
        await everything(jira)
    assert refused.value.reason == "The value 'X' does not exist."


@pytest.mark.parametrize(
    ("answer", "slug", "retry_after"),
    [
        (JiraAnswer(429, [(b"Retry-After", b"40")]), "rate_limited", 40),
        (JiraAnswer(503, [], b"<html>"), "jira_protocol", None),
        (JiraAnswer(200, [], b"<html>"), "jira_protocol", None),
    ],
)
async def test_anything_else_is_silence(answer, slug, retry_after):
    jira = Jira(1)
    jira.answer = answer
    with pytest.raises(JiraSilent) as silent:
        await everything(jira)
    assert (silent.value.problem.slug.name, silent.value.problem.retry_after) == (slug, retry_after)


def with_comments(jira, number, total):
    jira.issues[number]["fields"]["comment"] = {"comments": [{"id": "0"}], "total": total}
    jira.comments[str(number)] = total


async def test_an_issue_is_completed_page_by_page_unless_its_state_is_known():
    jira = Jira(3)
    with_comments(jira, 1, 70)
    found = await everything(jira)
    assert len(found[1]["fields"]["comment"]["comments"]) == 70
    found = await everything(jira, known={("1", jira.issues[1]["fields"]["updated"])})
    assert len(found[1]["fields"]["comment"]["comments"]) == 1


async def test_an_issue_that_is_gone_by_now_stays_as_it_was_found():
    jira = Jira(3)
    with_comments(jira, 1, 70)
    jira.comments.clear()
    assert numbers(await everything(jira)) == [0, 1, 2]
