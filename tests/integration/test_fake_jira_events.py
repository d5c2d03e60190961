"""What the stand-in Jira says about changes, over real sockets: histories, searches by time, webhooks, the control port."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.support.fake_jira import FakeJira, JiraProcess, client_context, make_certificate, server_context
from tests.support.fake_jira.views import milliseconds, parse_stamp, stamp

EVERY = ("7.13", "8.20", "9.12", "10.3", "cloud")
CLASSIC = ("7.13", "8.20", "9.12", "cloud")
ADMIN, PLAIN, LEAD = "admin", "svc.bridge", "pat"
ISSUE_EVENTS = ("jira:issue_created", "jira:issue_updated", "jira:issue_deleted")
COMMENT_EVENTS = ("comment_created", "comment_updated", "comment_deleted")
WORKLOG_EVENTS = ("worklog_created", "worklog_updated", "worklog_deleted", "jira:worklog_updated")
MORE_EVENTS = ("attachment_created", "issuelink_created", "sprint_created", "project_created")
ALL = (*ISSUE_EVENTS, *COMMENT_EVENTS, *WORKLOG_EVENTS, *MORE_EVENTS)


def login_of(jira, name):
    user = jira.users[name]
    pair = f"{user.email}:{user.token}" if jira.profile.is_cloud else f"{name}:{user.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


async def ask(jira, method, path, value=None, *, user=PLAIN):
    """One request; returns (status, JSON or None)."""
    body = b"" if value is None else json.dumps(value).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: j", "Connection: close", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/json"] if value is not None else []
    lines += [f"Authorization: {login_of(jira, user)}"] if user else []
    reader, writer = await asyncio.open_connection(jira.host, jira.port)
    try:
        async with asyncio.timeout(10):
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.transport.abort()
    if b"chunked" in head:
        rest = b"".join(rest.split(b"\r\n")[1::2])
    is_json = rest.startswith((b"{", b"[", b"true", b"false"))
    return int(head.split()[1]), json.loads(rest) if is_json else None


async def issue_of(jira, key, query="expand=changelog", **login):
    status, issue = await ask(jira, "GET", f"/rest/api/2/issue/{key}?{query}", **login)
    assert status == 200
    return issue


async def found(jira, jql, *, user=PLAIN):
    """The keys that a search finds."""
    path = "/rest/api/2/search/jql" if jira.profile.is_cloud else "/rest/api/2/search"
    status, page = await ask(jira, "GET", f"{path}?fields=summary&jql={quote(jql)}", user=user)
    return {issue["key"] for issue in page["issues"]} if status == 200 else status


class Receiver:
    """Takes webhooks on kept-alive sockets; answers `statuses` one by one, then 204."""

    def __init__(self, tls=None):
        self.received = []  # (target, headers, body)
        self.statuses = []
        self.sockets = 0
        self.gate = asyncio.Event()  # closed: answers wait
        self.gate.set()
        self._tls = tls

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc):
        self._server.close()

    async def _serve(self, reader, writer):
        self.sockets += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                fields = dict(line.split(": ", 1) for line in lines[1:-2])
                body = await reader.readexactly(int(fields["Content-Length"]))
                self.received.append((lines[0].split(" ")[1], fields, body))
                await self.gate.wait()
                status = self.statuses.pop(0) if self.statuses else 204
                writer.write(b"HTTP/1.1 %d \r\n%s\r\n" % (status, b"" if status == 204 else b"Content-Length: 0\r\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    @property
    def events(self):
        return [json.loads(body) for _, _, body in self.received]

    def named(self, name):
        return [event for event in self.events if event["webhookEvent"] == name]


def registration(jira, url, events=ALL, jql="", secret=None, *, without_body=False):
    if jira.profile.new_webhooks:
        more = {"FILTERS": jql, "EXCLUDE_BODY": str(without_body).lower(), **({"SECRET": secret} if secret else {})}
        return {"name": "w", "url": url, "events": list(events), "active": True, "configuration": more}
    more = {"filters": {"issue-related-events-section": jql}, "excludeBody": without_body}
    return {"name": "w", "url": url, "events": list(events), **more, **({"secret": secret} if secret else {})}


async def register(jira, *arguments, user=ADMIN, **options):
    return await ask(jira, "POST", jira.profile.webhook_path, registration(jira, *arguments, **options), user=user)


async def settled(jira):
    await jira.wait_for(lambda j: j.webhooks.pending == 0)


@pytest.fixture
async def receiver():
    async with Receiver() as receiver:
        yield receiver


# -- histories


@pytest.mark.parametrize("profile", EVERY)
async def test_every_change_over_rest_is_in_the_history_and_in_the_webhook_under_the_same_id(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url, ["jira:issue_updated"])
        path = "/rest/api/2/issue/OPS-3"
        await ask(jira, "PUT", path, {"fields": {"summary": "New", "priority": {"name": "High"}}})
        await ask(jira, "POST", f"{path}/transitions", {"transition": {"id": "31"}})
        await ask(jira, "POST", f"{path}/transitions", {"transition": {"id": "11"}})
        omar = jira.users["omar.haddad"]
        identity = {"accountId": omar.account_id} if jira.profile.is_cloud else {"name": omar.name}
        await ask(jira, "PUT", f"{path}/assignee", identity)
        await settled(jira)
        issue = await issue_of(jira, "OPS-3")
        histories = issue["changelog"]["histories"]
        assert issue["changelog"].keys() == {"startAt", "maxResults", "total", "histories"}
        assert issue["changelog"]["total"] == len(histories) == 4
        sent = [event["changelog"] for event in receiver.events]
        assert sorted(sent, key=lambda one: one["id"]) == [
            {"id": entry["id"], "items": entry["items"]} for entry in histories
        ]
        assert all(entry["id"].isdigit() for entry in histories)
        assert all(entry["author"]["displayName"] == "Bridge Service" for entry in histories)
        assert histories[-1]["created"] == issue["fields"]["updated"]
        texts = [{item["field"]: (item["fromString"], item["toString"]) for item in e["items"]} for e in histories]
        assert texts[0] == {"summary": ("Check router 3", "New"), "priority": ("Low", "High")}
        assert texts[1] == {"status": ("To Do", "Done"), "resolution": (None, "Done")}
        (assigned,) = histories[3]["items"]
        assert assigned["to"] == jira.views.user_id(omar)
        assert ("fieldId" in assigned) == jira.profile.is_cloud


async def test_a_change_of_nothing_is_no_entry_and_no_event(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url)
        before = await issue_of(jira, "OPS-3")
        assert (await ask(jira, "PUT", "/rest/api/2/issue/OPS-3", {"fields": {"summary": "Check router 3"}}))[0] == 204
        assert await issue_of(jira, "OPS-3") == before
        assert not jira.webhooks.deliveries


async def test_an_edit_that_is_refused_changes_no_field():
    async with FakeJira() as jira:
        before = await issue_of(jira, "OPS-3")
        fields = {"summary": "Half done", "labels": ["x"], "parent": {"key": "OPS-4"}, "nonsense": 1}
        assert (await ask(jira, "PUT", "/rest/api/2/issue/OPS-3", {"fields": fields}))[0] == 400
        assert await issue_of(jira, "OPS-3") == before
        assert (await issue_of(jira, "OPS-4"))["fields"]["subtasks"] == []


async def test_an_edit_with_a_comment_is_one_event_with_both_beside_the_comments_own(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url)
        edit = {"fields": {"summary": "x"}, "update": {"comment": [{"add": {"body": "why"}}]}}
        await ask(jira, "PUT", "/rest/api/2/issue/OPS-3", edit)
        await settled(jira)
        assert Counter(e["webhookEvent"] for e in receiver.events) == {"jira:issue_updated": 1, "comment_created": 1}
        (both,) = receiver.named("jira:issue_updated")
        assert (both["changelog"]["items"][0]["toString"], both["comment"]["body"]) == ("x", "why")


async def test_attachments_and_links_are_in_the_history():
    async with FakeJira() as jira:
        attachment = jira.add_attachment("OPS-3", "a.txt", b"x")
        jira.delete_attachment(attachment)
        kind = {"type": {"name": "Blocks"}, "inwardIssue": {"key": "OPS-3"}, "outwardIssue": {"key": "OPS-4"}}
        assert (await ask(jira, "POST", "/rest/api/2/issueLink", kind))[0] == 201
        items = [entry["items"][0] for entry in (await issue_of(jira, "OPS-3"))["changelog"]["histories"]]
        assert [(i["field"], i["from"], i["to"]) for i in items] == [
            ("Attachment", None, str(attachment.id)),
            ("Attachment", str(attachment.id), None),
            ("Link", None, "OPS-4"),
        ]
        (other,) = (await issue_of(jira, "OPS-4"))["changelog"]["histories"]
        assert other["items"][0]["to"] == "OPS-3"


# -- comments


@pytest.mark.parametrize("profile", EVERY)
async def test_comments_are_told_in_pairs_on_premise_and_alone_on_cloud(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url)
        path = "/rest/api/2/issue/OPS-3/comment"
        _, comment = await ask(jira, "POST", path, {"body": "one"})
        await ask(jira, "PUT", f"{path}/{comment['id']}", {"body": "two"})
        await ask(jira, "DELETE", f"{path}/{comment['id']}")
        await settled(jira)
        small = [receiver.named(name)[0] for name in COMMENT_EVENTS]
        assert all(event["comment"]["id"] == comment["id"] for event in receiver.events)
        paired = {e["issue_event_type_name"]: e for e in receiver.named("jira:issue_updated")}
        if jira.profile.is_cloud:
            assert not paired
            assert small[0]["issue"]["self"].endswith(f"/rest/api/2/{small[0]['issue']['id']}")
            assert "user" not in small[0]
        else:
            assert small[0].keys() == {"timestamp", "webhookEvent", "comment"}
            assert all(event.keys() == {"timestamp", "webhookEvent", "comment", "user"} for event in small[1:])
            assert paired.keys() == {"issue_commented", "issue_comment_edited", "issue_comment_deleted"}
            assert all({"issue", "user", "comment"} <= e.keys() and "changelog" not in e for e in paired.values())
        assert small[1]["comment"]["updated"] >= small[0]["comment"]["updated"]


async def test_a_deleted_comment_moves_updated_but_leaves_no_trace_in_the_history():
    now = [datetime(2026, 5, 1, 10, 0, tzinfo=UTC)]
    async with FakeJira(clock=lambda: now[0]) as jira:
        comment = jira.add_comment("OPS-3", "ines.ferro", "x")
        now[0] += timedelta(minutes=5)
        jira.delete_comment("OPS-3", comment.id)
        issue = await issue_of(jira, "OPS-3")
        assert parse_stamp(issue["fields"]["updated"]) == now[0]
        assert issue["changelog"]["histories"] == []


@pytest.mark.parametrize(("profile", "comments"), [("9.12", 25), ("cloud", 20)])
async def test_what_is_inline_is_cut_and_the_lists_give_all(profile, comments):
    async with FakeJira(profile) as jira:
        for number in range(25):
            jira.add_comment("OPS-3", "ines.ferro", f"comment {number}")
            jira.add_worklog("OPS-3", seconds=60 + number)
        fields = (await issue_of(jira, "OPS-3"))["fields"]
        for name, count in (("comment", comments), ("worklog", 20)):
            inline, plural = fields[name], name + "s"
            assert (len(inline[plural]), inline["total"], inline["startAt"]) == (count, 25, 0)
            assert inline["maxResults"] == count
            _, page = await ask(jira, "GET", f"/rest/api/2/issue/OPS-3/{name}")
            assert (len(page[plural]), page["total"]) == (25, 25)
            _, tail = await ask(jira, "GET", f"/rest/api/2/issue/OPS-3/{name}?startAt=20&maxResults=3")
            assert tail[plural] == page[plural][20:23]
            assert (tail["startAt"], tail["maxResults"], tail["total"]) == (20, 3, 25)


# -- worklogs


@pytest.mark.parametrize("profile", EVERY)
async def test_worklogs_are_made_changed_read_and_told(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url)
        path = "/rest/api/2/issue/OPS-3/worklog"
        started = "2026-03-04T14:00:00.000+0100"
        status, made = await ask(jira, "POST", path, {"timeSpent": "1h 30m", "comment": "a", "started": started})
        assert (status, made["timeSpentSeconds"], made["started"]) == (201, 5400, started)
        one = f"{path}/{made['id']}"
        status, changed = await ask(jira, "PUT", one, {"timeSpentSeconds": 60})
        assert (status, changed["timeSpentSeconds"], changed["comment"]) == (200, 60, "a")
        issue = await issue_of(jira, "OPS-3")
        assert issue["fields"]["updated"] == changed["updated"]
        assert await ask(jira, "GET", one) == (200, changed)
        assert (await ask(jira, "DELETE", one, user="outsider"))[0] in {403, 404}
        assert (await ask(jira, "DELETE", one))[0] == 204
        assert (await ask(jira, "GET", one))[0] == 404
        await settled(jira)
        for name in WORKLOG_EVENTS[:3]:
            (event,) = receiver.named(name)
            assert event.keys() == {"timestamp", "webhookEvent", "worklog"}
            assert event["worklog"]["issueId"] == issue["id"]
        old = receiver.named("jira:worklog_updated")
        assert len(old) == (0 if jira.profile.is_cloud else 3)
        assert all(event["issue"]["key"] == "OPS-3" and "worklog" not in event for event in old)


async def test_ids_of_different_kinds_collide_as_in_jiras_tables():
    async with FakeJira() as jira:
        issue = jira.add_issue()
        assert issue.id == jira.add_worklog(issue).id == jira.edit_issue(issue, summary="x").id


# -- deletion


@pytest.mark.parametrize("profile", EVERY)
async def test_a_deleted_issue_is_told_with_its_subtasks(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url, ["jira:issue_deleted"], "project = OPS")
        parent = jira.add_issue("parent")
        child = jira.add_issue("child", parent=parent)
        assert (await ask(jira, "DELETE", f"/rest/api/2/issue/{parent.key}"))[0] == 400
        assert (await ask(jira, "DELETE", f"/rest/api/2/issue/{parent.key}?deleteSubtasks=true"))[0] == 204
        await settled(jira)
        assert {event["issue"]["key"] for event in receiver.events} == {parent.key, child.key}
        assert (await ask(jira, "GET", f"/rest/api/2/issue/{child.key}"))[0] == 404


# -- time


async def test_jiras_clock_may_differ_from_ours_and_is_told_in_its_own_zone():
    now = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    async with FakeJira(clock=lambda: now) as jira:
        jira.clock_offset = -3 * 3600
        jira.time_zone = "Asia/Tokyo"
        _, info = await ask(jira, "GET", "/rest/api/2/serverInfo")
        assert info["serverTime"] == "2026-07-01T18:00:00.000+0900"
        issue = jira.add_issue("late")
        jira.edit_issue(issue, summary="later")
        read = await issue_of(jira, issue.key)
        assert read["fields"]["created"] == read["changelog"]["histories"][0]["created"] == info["serverTime"]


def test_a_moment_written_and_read_back_has_the_same_milliseconds():
    start = datetime(2026, 7, 1, 12, 0, 0, 700, tzinfo=UTC)
    moments = [start + timedelta(milliseconds=number) for number in range(1000)]
    first = int(start.timestamp()) * 1000
    assert [milliseconds(moment) for moment in moments] == [first + number for number in range(1000)]
    assert [milliseconds(parse_stamp(stamp(moment))) for moment in moments] == [first + n for n in range(1000)]


async def test_each_account_has_its_time_zone():
    async with FakeJira() as jira:
        zones = {
            name: (await ask(jira, "GET", "/rest/api/2/myself", user=name))[1]["timeZone"] for name in (ADMIN, PLAIN)
        }
        assert zones == {ADMIN: "Asia/Kolkata", PLAIN: "America/New_York"}
        jira.users[PLAIN].time_zone = "Pacific/Apia"
        assert (await ask(jira, "GET", "/rest/api/2/myself"))[1]["timeZone"] == "Pacific/Apia"


@pytest.mark.parametrize("profile", ["9.12", "cloud"])
async def test_a_date_in_jql_is_local_time_of_whoever_asks_and_has_minutes_at_most(profile):
    now = datetime(2026, 7, 1, 12, 34, 56, 789000, tzinfo=UTC)
    async with FakeJira(profile, clock=lambda: now) as jira:
        key = jira.add_issue("now").key
        assert await found(jira, 'updated >= "2026/07/01 08:34" and project = OPS') == {key}  # New York
        assert await found(jira, 'updated >= "2026/07/01 08:35" and project = OPS') == set()
        assert await found(jira, 'created >= "2026-07-01 18:04" and project = OPS', user=ADMIN) == {key}  # Kolkata
        assert await found(jira, 'created >= "2026-07-01 18:05" and project = OPS', user=ADMIN) == set()
        assert await found(jira, 'updated < "2026-07-01 18:05" and key = ' + key, user=ADMIN) == {key}
        assert await found(jira, 'updated >= "2026/07/01" and updated <= now() and project = OPS') == {key}
        for wrong in ("2026/07/01 08:34:56", "2026-07-01T08:34", "2026/13/01", "2026/07-01"):
            assert await found(jira, f'updated >= "{wrong}"') == 400


async def test_a_relative_date_counts_from_jiras_own_clock():
    now = [datetime(2026, 7, 1, 12, 0, tzinfo=UTC)]
    async with FakeJira(clock=lambda: now[0]) as jira:
        jira.clock_offset = 5 * 3600
        key = jira.add_issue("soon").key
        now[0] += timedelta(minutes=14)
        assert await found(jira, 'updated >= "-15m" and project = OPS') == {key}
        now[0] += timedelta(minutes=2)
        assert await found(jira, "updated >= -15m and project = OPS") == set()
        assert await found(jira, 'updated >= "-1h 5m" and project = OPS') == {key}
        jira.clock_offset = 0
        assert await found(jira, 'updated > "5h" and project = OPS') == set()
        assert await found(jira, 'updated > "4h" and project = OPS') == {key}


# -- searching


@pytest.mark.parametrize("profile", ["7.13", "9.12", "10.3"])
async def test_a_search_gives_histories_when_asked(profile):
    async with FakeJira(profile) as jira:
        change = jira.edit_issue("OPS-3", summary="x")
        wanted = {"jql": "key = OPS-3", "fields": ["*all"], "expand": ["changelog"]}
        _, page = await ask(jira, "POST", "/rest/api/2/search", wanted)
        assert page["issues"][0]["changelog"]["histories"][0]["id"] == str(change.id)
        _, page = await ask(jira, "GET", "/rest/api/2/search?jql=key%3DOPS-3&expand=changelog&fields=comment,worklog")
        assert page["issues"][0]["changelog"]["total"] == 1
        assert page["issues"][0]["fields"].keys() == {"comment", "worklog"}


async def test_cloud_pages_by_token():
    async with FakeJira("cloud") as jira:
        jira.edit_issue("OPS-3", summary="x")
        wanted = {"jql": "project = OPS ORDER BY key ASC", "maxResults": 25, "fields": ["*all"], "expand": "changelog"}
        keys, pages = [], []
        while not pages or not pages[-1]["isLast"]:
            token = {"nextPageToken": pages[-1]["nextPageToken"]} if pages else {}
            _, page = await ask(jira, "POST", "/rest/api/2/search/jql", {**wanted, **token})
            pages.append(page)
            keys += [issue["key"] for issue in page["issues"]]
        assert keys == [f"OPS-{number}" for number in range(1, 61) if number != 13]
        assert "nextPageToken" not in pages[-1]
        assert pages[0]["issues"][2]["changelog"]["total"] == 1
        _, one = await ask(jira, "GET", "/rest/api/2/search/jql?jql=key%3DOPS-3&expand=changelog&fields=summary")
        assert (one["isLast"], one["issues"][0]["fields"]) == (True, {"summary": "x"})
        assert one["issues"][0]["changelog"]["total"] == 1
        assert (await ask(jira, "POST", "/rest/api/2/search/jql", {**wanted, "nextPageToken": "nonsense"}))[0] == 400
        assert (await ask(jira, "GET", "/rest/api/2/search?jql=key%3DOPS-3"))[0] == 410


# -- registration


@pytest.mark.parametrize("profile", EVERY)
async def test_only_administrators_of_jira_register_webhooks(profile):
    async with FakeJira(profile) as jira:
        assert (await register(jira, "https://x.example/in"))[0] == 201
        for user, status in ((PLAIN, 403), (LEAD, 403), ("readonly", 403), (None, 401)):
            assert (await register(jira, "https://y.example/in", user=user))[0] == status
        query = "projectKey=OPS&permissions=ADMINISTER,ADMINISTER_PROJECTS"
        _, rights = await ask(jira, "GET", f"/rest/api/2/mypermissions?{query}", user=LEAD)
        held = {name for name, right in rights["permissions"].items() if right["havePermission"]}
        assert "ADMINISTER_PROJECTS" in held
        assert "ADMINISTER" not in held


@pytest.mark.parametrize("profile", CLASSIC)
async def test_a_webhook_is_read_back_changed_and_removed_and_a_double_is_a_409(profile):
    async with FakeJira(profile) as jira:
        path = jira.profile.webhook_path
        _, made = await register(jira, "https://x.example/in", ["jira:issue_created"], "project = OPS")
        one = path + "/" + made["self"].rpartition("/")[2]
        assert await ask(jira, "GET", one, user=ADMIN) == (200, made)
        assert await ask(jira, "GET", path, user=ADMIN) == (200, [made])
        assert (await register(jira, "https://x.example/in", ["jira:issue_created"], "project = OPS"))[0] == 409
        _, second = await register(jira, "https://x.example/in", ["jira:issue_created"])
        same = registration(jira, "https://x.example/in", ["jira:issue_created"], "project = OPS")
        assert (await ask(jira, "PUT", second["self"].removeprefix("http://j"), same, user=ADMIN))[0] == 409
        status, changed = await ask(jira, "PUT", one, {**same, "name": "v"}, user=ADMIN)
        assert (status, changed["name"]) == (200, "v")
        assert await ask(jira, "PUT", f"{one}/enabled", False, user=ADMIN) == (200, False)
        assert (await ask(jira, "GET", one, user=ADMIN))[1]["enabled"] is False
        assert (await ask(jira, "DELETE", one, user=ADMIN))[0] == 204
        assert (await ask(jira, "GET", one, user=ADMIN))[0] == 404


async def test_ten_keeps_what_is_in_configuration_and_ignores_a_secret_beside_it():
    async with FakeJira("10.3") as jira:
        path = jira.profile.webhook_path
        body = {**registration(jira, "https://x.example/in", jql="project = OPS"), "secret": "s"}
        status, made = await ask(jira, "POST", path, body, user=ADMIN)
        assert (status, made["configuration"]["FILTERS"]) == (201, "project = OPS")
        assert "SECRET" not in made["configuration"]
        assert jira.webhooks.registered[made["id"]].secret is None
        keyed = json.dumps({"issue-related-events-section": "project = HID"})
        body["configuration"] = {"FILTERS": keyed, "SECRET": "t"}
        _, changed = await ask(jira, "PUT", f"{path}/{made['id']}", body, user=ADMIN)
        assert changed["configuration"] == {"FILTERS": "project = HID", "SECRET": "t"}
        assert changed["createdDate"] == made["createdDate"]
        jira.webhooks.filters_as_json = True
        jira.change_webhook(made["id"], jql="", exclude_body=True, enabled=False)
        _, (seen,) = await ask(jira, "GET", path, user=ADMIN)
        assert json.loads(seen["configuration"]["FILTERS"]) == {"issue-related-events-section": ""}
        assert (seen["configuration"]["EXCLUDE_BODY"], seen["active"]) == ("true", False)


async def test_cloud_refuses_targets_without_tls():
    async with FakeJira("cloud") as jira:
        assert (await register(jira, "http://hooks.example/in"))[0] == 400
        assert (await register(jira, "http://10.0.0.1/in"))[0] == 400
        assert (await register(jira, "http://127.0.0.1:9/in"))[0] == 201
        assert (await register(jira, "https://hooks.example/in"))[0] == 201


# -- delivery


@pytest.mark.parametrize("profile", EVERY)
async def test_a_delivery_looks_like_that_version(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url + "/hooks/a", ["jira:issue_created"], secret="s3")
        await register(jira, receiver.url + "/hooks/b?t=1", ["jira:issue_created"])
        jira.add_issue("Größe")
        await settled(jira)
        by_target = {target: (fields, body) for target, fields, body in receiver.received}
        key = "ines.ferro" if profile == "7.13" else "JIRAUSER10207"
        appended = jira.profile.webhook_appends_user
        first = "/hooks/a" + (f"?user_id=ines.ferro&user_key={key}" if appended else "")
        second = "/hooks/b?t=1" + (f"&user_id=ines.ferro&user_key={key}" if appended else "")
        assert by_target.keys() == {first, second}
        fields, body = by_target[first]
        assert "Größe".encode() in body
        assert fields["Content-Type"] == "application/json; charset=UTF-8"
        signature = "sha256=" + hmac.new(b"s3", body, hashlib.sha256).hexdigest()
        assert fields.get("X-Hub-Signature") == (signature if profile in {"10.3", "cloud"} else None)
        assert ("X-Atlassian-Webhook-Identifier" in fields) == (profile == "cloud")
        assert fields["User-Agent"].startswith("Atlassian Webhook" if profile == "cloud" else "Atlassian HttpClient")
        assert ("changelog" in json.loads(body)) == (profile == "cloud")
        assert "X-Hub-Signature" not in by_target[second][0]


async def test_all_webhooks_of_one_event_carry_the_same_timestamp(receiver):
    ticks = iter(range(10_000))
    start = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    async with FakeJira(clock=lambda: start + timedelta(milliseconds=next(ticks))) as jira:
        for jql in ("", "project = OPS", "project = OPS OR project = HID"):
            await register(jira, receiver.url, ["jira:issue_created"], jql)
        jira.add_issue()
        await settled(jira)
        assert len(receiver.events) == 3
        assert len({event["timestamp"] for event in receiver.events}) == 1


async def test_an_empty_body_when_asked_for(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url + "/in", ["jira:issue_created"], without_body=True)
        jira.add_issue()
        await settled(jira)
        ((target, fields, body),) = receiver.received
        assert (fields["Content-Length"], body) == ("0", b"")
        assert target == "/in?user_id=ines.ferro&user_key=JIRAUSER10207"


@pytest.mark.parametrize(("profile", "small"), [("7.13", 2), ("9.12", 2), ("10.3", 0), ("cloud", 0)])
async def test_jql_narrows_issue_events_and_the_small_ones_only_on_newer_versions(profile, small, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url, jql="project = HID")
        jira.edit_issue("OPS-3", summary="not wanted")
        jira.add_comment("OPS-3", "ines.ferro", "x")
        jira.add_worklog("OPS-3")
        jira.edit_issue("HID-1", summary="wanted")
        jira.emit("sprint_created", jira.users["ines.ferro"], payload={"sprint": {"id": 9}})
        jira.emit("project_created", None, payload={"project": {"id": 9}})
        await settled(jira)
        counts = Counter(event["webhookEvent"] for event in receiver.events)
        assert counts["comment_created"] + counts["worklog_created"] == small
        assert (counts["sprint_created"], counts["project_created"], counts["jira:issue_updated"]) == (1, 1, 1)
        assert receiver.named("jira:issue_updated")[0]["issue"]["key"] == "HID-1"
        jira.webhooks.filters_small_events = not jira.webhooks.filters_small_events
        jira.add_comment("OPS-3", "ines.ferro", "y")
        await settled(jira)
        assert len(receiver.named("comment_created")) == 1  # either the first or the second


async def test_a_filter_by_time_is_judged_at_the_moment_of_the_event(receiver):
    now = [datetime(2026, 7, 1, 12, 0, tzinfo=UTC)]
    async with FakeJira(clock=lambda: now[0]) as jira:
        issue = jira.add_issue()
        await register(jira, receiver.url, ["jira:issue_updated"], "created >= -10m")
        jira.edit_issue(issue, summary="young")
        now[0] += timedelta(hours=1)
        jira.edit_issue(issue, summary="old")
        await settled(jira)
        assert [event["issue"]["fields"]["summary"] for event in receiver.events] == ["young"]


async def test_cloud_repeats_what_may_pass_under_one_identifier(receiver):
    async with FakeJira("cloud") as jira:
        jira.webhooks.retry_pause = 0.01
        await register(jira, receiver.url, ["jira:issue_created"])
        receiver.statuses = [503, 408, 409, 425, 429]
        jira.add_issue()
        await settled(jira)
        fields = [fields for _, fields, _ in receiver.received]
        assert len({each["X-Atlassian-Webhook-Identifier"] for each in fields}) == 1
        assert [each.get("X-Atlassian-Webhook-Retry") for each in fields] == [None, "1", "2", "3", "4", "5"]
        assert len({body for _, _, body in receiver.received}) == 1
        assert [(d.status, d.retry) for d in jira.webhooks.deliveries] == [
            (503, 0), (408, 1), (409, 2), (425, 3), (429, 4), (204, 5),
        ]  # fmt: skip
        receiver.statuses = [500] * 6
        jira.add_issue()
        await settled(jira)
        assert len(receiver.received) == 12  # five repeats are the end
        receiver.statuses = [404]
        jira.add_issue()
        await settled(jira)
        assert len(receiver.received) == 13
        identifiers = {fields["X-Atlassian-Webhook-Identifier"] for _, fields, _ in receiver.received}
        assert len(identifiers) == 3


@pytest.mark.parametrize("profile", ["7.13", "10.3"])
async def test_on_premise_nothing_is_repeated(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        receiver.statuses = [503]
        jira.add_issue()
        await settled(jira)
        (delivery,) = jira.webhooks.deliveries
        assert (delivery.status, delivery.error, len(receiver.received)) == (503, None, 1)
        assert delivery.queued_at <= delivery.sent_at <= delivery.answered_at
        assert abs(datetime.now(UTC).timestamp() - delivery.answered_at) < 5


async def test_an_overflowing_queue_drops_and_counts(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        jira.webhooks.paused = True
        jira.webhooks.queue_limit = 100
        for number in range(130):
            jira.add_issue(f"{number}")
        assert (jira.webhooks.dropped, jira.webhooks.pending) == (30, 100)
        jira.webhooks.paused = False
        await settled(jira)
        assert len(receiver.received) == jira.webhooks.counts["204"] == 100


async def test_lost_webhooks_are_silently_not_delivered(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        jira.webhooks.lost = True
        jira.add_issue("lost")
        jira.webhooks.lost = False
        jira.add_issue("kept")
        await settled(jira)
        assert [event["issue"]["fields"]["summary"] for event in receiver.events] == ["kept"]
        assert (jira.webhooks.counts["lost"], jira.webhooks.dropped) == (1, 0)


async def test_sockets_are_kept_and_a_dead_one_is_replaced(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        jira.webhooks.senders = 1
        for number in range(20):
            jira.add_issue(f"{number}")
            await settled(jira)
        assert receiver.sockets == jira.webhooks.sockets.opened == 1
        jira.webhooks.senders = 8
        for number in range(80):
            jira.add_issue(f"{number}")
        await settled(jira)
        assert receiver.sockets <= 8
        assert len(receiver.received) == 100


@pytest.mark.parametrize("senders", [1, 3, 7])
async def test_as_many_deliveries_run_at_once_as_there_are_senders(senders, receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        assert jira.webhooks.senders == 3
        jira.webhooks.senders = senders
        receiver.gate.clear()
        for number in range(20):
            jira.add_issue(f"{number}")
        await jira.wait_for(lambda _: len(receiver.received) == senders)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len([d for d in jira.webhooks.deliveries if d.sent_at]) == len(receiver.received) == senders
        receiver.gate.set()
        await settled(jira)
        assert len(receiver.received) == 20


async def test_a_receiver_that_is_gone_is_an_error_and_its_successor_gets_the_next(receiver):
    async with FakeJira() as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        jira.webhooks.senders = 1
        gone = await asyncio.start_server(lambda r, w: w.transport.abort(), "127.0.0.1", 0)
        jira.change_webhook(1, url=f"http://127.0.0.1:{gone.sockets[0].getsockname()[1]}/")
        jira.add_issue("nobody")
        await settled(jira)
        gone.close()
        jira.change_webhook(1, url=receiver.url)
        jira.add_issue("somebody")
        await settled(jira)
        first, second = jira.webhooks.deliveries
        assert (first.status, second.status) == (None, 204)
        assert first.error


async def test_deliveries_go_to_receivers_with_tls(tmp_path):
    files = make_certificate(tmp_path)
    async with Receiver(server_context(files.cert, files.key)) as receiver, FakeJira() as jira:
        await register(jira, receiver.url, ["jira:issue_created"])
        jira.add_issue("distrusted")
        await settled(jira)
        assert "CERTIFICATE_VERIFY_FAILED" in jira.webhooks.deliveries[0].error
        jira.webhooks.tls = client_context(files.ca)
        jira.add_issue("trusted")
        await settled(jira)
        assert jira.webhooks.deliveries[1].status == 204


# -- storms and the control port


KINDS = (
    "issue", "edit", "comment", "worklog", "transition", "edit_comment", "edit_worklog", "delete_comment",
    "delete_worklog", "delete_issue",
)  # fmt: skip


def occurrence_of(event):
    """What a webhook says happened, in the words of the storm's list; None for the second event of one thing."""
    name, kind = event["webhookEvent"], event["webhookEvent"].replace("_", "-")
    if name in {"jira:issue_created", "jira:issue_deleted"}:
        return f"{kind.removeprefix('jira:')}/{event['issue']['id']}"
    if name == "jira:issue_updated":
        return f"changelog/{event['changelog']['id']}" if "changelog" in event else None
    if name.startswith("jira:"):
        return None
    record = event["comment" if "comment" in event else "worklog"]
    moment = f"/{milliseconds(parse_stamp(record['updated']))}" if name.endswith("updated") else ""
    return f"{kind}/{record['id']}{moment}"


@pytest.mark.parametrize("profile", ["7.13", "cloud"])
async def test_a_storm_lists_exactly_what_its_webhooks_tell(profile, receiver):
    async with FakeJira(profile) as jira:
        await register(jira, receiver.url)
        jira.webhooks.queue_limit = 1000
        storm = jira.storm(60, 600, KINDS)
        await jira.wait_for(lambda _: storm.done)
        await settled(jira)
        told = {occurrence_of(event) for event in receiver.events} - {None}
        made = [entry["occurrence"] for entry in storm.made]
        assert sorted(told) == sorted(set(made))
        assert {d.occurrence for d in jira.webhooks.deliveries if not d.event.startswith("jira:worklog")} == set(made)
        assert len(made) == 60
        assert {entry["kind"] for entry in storm.made} == set(KINDS)


async def test_a_storm_goes_on_when_nobody_listens():
    async with FakeJira() as jira:
        await register(jira, "http://127.0.0.1:1/")
        storm = jira.storm(50, 5000)
        await jira.wait_for(lambda _: storm.done)
        await settled(jira)
        assert len(storm.made) == 50
        assert jira.webhooks.counts["error"] > 0


async def test_a_storm_keeps_to_its_rate():
    async with FakeJira() as jira:
        slow, fast = jira.storm(20, 200), jira.storm(400, 4000)
        await jira.wait_for(lambda _: slow.ended_at and fast.ended_at)
        assert 0.09 < slow.status()["seconds"] < 3
        assert 0.09 < fast.status()["seconds"] < 3  # one each tick would take four seconds


async def test_a_storm_on_given_issues_changes_only_those():
    async with FakeJira() as jira:
        storm = jira.storm(12, 5000, ("edit", "comment", "worklog"), issues=("OPS-1", "OPS-2"))
        await jira.wait_for(lambda _: storm.done)
        assert {entry["key"] for entry in storm.made} == {"OPS-1", "OPS-2"}
        with pytest.raises(ValueError, match="nonsense"):
            jira.storm(1, 1, ("nonsense",))


def test_another_process_changes_issues_by_the_control_port():
    with JiraProcess("9.12") as jira:
        made = jira.call("add_issue", summary="x", user="omar.haddad", fields={"labels": ["a"]})
        key = made["key"]
        changed = jira.call("edit_issue", issue=key, fields={"summary": "y"})
        assert changed["changelog"].isdigit()
        assert jira.call("transition_issue", issue=key, transition="11")["changelog"].isdigit()
        comment = jira.call("add_comment", issue=key, body="one")
        assert jira.call("edit_comment", issue=key, comment=comment["id"], body="two")["id"] == comment["id"]
        worklog = jira.call("add_worklog", issue=key, seconds=60)
        assert jira.call("edit_worklog", issue=key, worklog=worklog["id"], seconds=120)["id"] == worklog["id"]
        jira.call("delete_comment", issue=key, comment=comment["id"])
        jira.call("delete_worklog", issue=key, worklog=worklog["id"])
        assert jira.call("delete_issue", issue=key) == {"id": made["id"], "key": key}
        for command, arguments in (
            ("edit_issue", {"issue": key, "fields": {}}),
            ("edit_issue", {"issue": "OPS-1", "fields": {"nonsense": 1}}),
            ("edit_comment", {"issue": "OPS-1", "comment": "1"}),
            ("storm_status", {}),
            ("remove_webhook", {"id": 1}),
        ):
            with pytest.raises(RuntimeError, match="Error"):
                jira.call(command, **arguments)


async def test_another_process_storms_tampers_and_reads_deliveries(receiver):
    with JiraProcess("9.12", issues=3) as process:

        async def call(command, **arguments):
            return await asyncio.to_thread(lambda: process.call(command, **arguments))

        async def until(predicate):
            async with asyncio.timeout(10):
                while not predicate(await call("delivery_counts"), await call("storm_status", made=False)):
                    await asyncio.sleep(0.02)

        login = "Basic " + base64.b64encode(b"admin:password-of-admin").decode()
        body = json.dumps({"name": "w", "url": receiver.url, "events": list(ALL)}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
        head = f"POST /rest/webhooks/1.0/webhook HTTP/1.1\r\nHost: j\r\nAuthorization: {login}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert b" 201 " in await reader.readline()
        writer.transport.abort()

        await call("set", webhook_queue_limit=1000, webhook_senders=5, clock_offset=-7200)
        assert await call("storm", count=40, rate=1000) == {"storm": 0}
        await until(lambda counts, storm: not storm["running"] and not counts["pending"])
        status = await call("storm_status", storm=0, after=30)
        assert (status["done"], len(status["made"])) == (40, 10)
        counts = await call("delivery_counts")
        assert counts["queued"] == counts["204"] == len(receiver.received) == 60
        listed = await call("deliveries", after=50, limit=5, body=False)
        assert [(one["number"], one["status"], "body" in one) for one in listed] == [
            (number, 204, False) for number in range(51, 56)
        ]
        assert abs(listed[0]["timestamp"] / 1000 + 7200 - listed[0]["queued_at"]) < 5
        assert await call("deliveries", count=True) == counts
        full = await call("deliveries", limit=1)
        assert json.loads(full[0]["body"])["webhookEvent"] == "jira:issue_created"

        (seen,) = await call("webhooks")
        assert (seen["id"], seen["owner"], seen["events"]) == (1, "admin", list(ALL))
        assert (await call("change_webhook", id=1, enabled=False, jql="project = HID"))["enabled"] is False
        await call("add_comment", issue="OPS-1")
        await call("change_webhook", id=1, enabled=True, jql="")
        await call("set", webhooks_lost=True)
        await call("add_comment", issue="OPS-1")
        await call("set", webhooks_lost=False, webhooks_paused=True)
        await call("emit", event="project_created", payload={"project": {"id": 1}})
        assert (await call("delivery_counts"))["pending"] == 1
        await call("set", webhooks_paused=False)
        await until(lambda counts, _: not counts["pending"])
        assert (await call("delivery_counts"))["lost"] == 2
        await call("remove_webhook", id=1)
        assert await call("webhooks") == []
        assert len(receiver.received) == 61
        assert (await call("info"))["crashes"] == []
