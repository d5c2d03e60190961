"""The stand-in's webhooks and the answers of its search give the same keys, and registrations read back as they were sent."""

import base64
import json
from datetime import timedelta

import pytest

from jira_api.events.names import KNOWN_EVENTS
from jira_api.events.reading import read_event
from jira_api.events.requesting import JiraRequest
from jira_api.events.sweeping import found_events, read_page, search, updated_since
from jira_api.server_info import parse_server_info
from jira_api.webhook_api import WantedWebhook, api_of, differences
from tests.integration.test_fake_jira import talk
from tests.support.fake_jira import FakeJira

PROFILES = ["7.13", "8.20", "9.12", "10.3", "cloud"]
WITHOUT_PART = "jira:worklog_updated"  # it does not say which worklog, so its moment is its key
URL = "http://127.0.0.1:1/hooks/x"  # nobody listens: what would have been sent is looked at


def bodies(jira):
    return [delivery.body for delivery in jira.webhooks.deliveries]


async def ask(jira, request):
    admin = jira.people.users["admin"]
    login = f"{admin.email}:{admin.token}" if jira.profile.is_cloud else f"{admin.name}:{admin.password}"
    head = [
        f"{request.method.decode()} {request.target.decode()} HTTP/1.1",
        "Host: j",
        f"Authorization: Basic {base64.b64encode(login.encode()).decode()}",
        f"Content-Length: {len(request.body)}",
        *(["Content-Type: application/json"] if request.body else []),
    ]
    status, _, body = await talk(jira, "\r\n".join([*head, "", ""]).encode() + request.body)
    return status, body


async def call(jira, method, target, value):
    return await ask(jira, JiraRequest(method, target, json.dumps(value).encode()))


async def server_of(jira):
    return parse_server_info((await ask(jira, JiraRequest(b"GET", b"/rest/api/2/serverInfo")))[1])


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_registration_reads_back_as_it_was_wanted(profile):
    async with FakeJira(profile) as jira:
        api = api_of(await server_of(jira))
        wanted = WantedWebhook("ours", URL, frozenset({"comment_created", "jira:issue_updated"}), "project = OPS", "s3")
        status, body = await ask(jira, api.create_request(wanted))
        assert status == 201
        seen = api.read(body)
        assert differences(wanted, seen) == []
        jira.webhooks.registered[int(seen.remote_id)].jql = "project = LAB"
        jira.webhooks.registered[int(seen.remote_id)].configuration["FILTERS"] = "project = LAB"
        _, body = await ask(jira, api.list_request())
        assert differences(wanted, api.read_list(body)[0]) == ["its filter is project = LAB"]
        status, body = await ask(jira, api.update_request(seen.remote_id, wanted))
        assert (status, api.read(body)) == (200, seen)
        assert bool(jira.webhooks.registered[int(seen.remote_id)].secret) == api.signs
        assert (await ask(jira, api.delete_request(seen.remote_id)))[0] == 204
        assert api.read_list((await ask(jira, api.list_request()))[1]) == []


@pytest.mark.parametrize("zone_is_known", [True, False])
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_search_finds_what_the_webhooks_told(profile, zone_is_known):
    async with FakeJira(profile) as jira:
        server = await server_of(jira)
        await ask(jira, api_of(server).create_request(WantedWebhook("all", URL, frozenset(KNOWN_EVENTS), None, None)))
        since = jira.store.now() - timedelta(seconds=1)
        zone = jira.people.users["admin"].time_zone if zone_is_known else None
        issue = f"/rest/api/2/issue/{jira.add_issue('new').key}".encode()
        await call(jira, b"PUT", issue, {"fields": {"summary": "changed"}})
        _, comment = await call(jira, b"POST", issue + b"/comment", {"body": "hi"})
        _, worklog = await call(jira, b"POST", issue + b"/worklog", {"timeSpentSeconds": 3600})
        jira.clock_offset += 1  # an edit in the millisecond of the creation is no edit that anybody can see
        await call(jira, b"PUT", issue + b"/comment/" + json.loads(comment)["id"].encode(), {"body": "hi, edited"})
        await call(jira, b"PUT", issue + b"/worklog/" + json.loads(worklog)["id"].encode(), {"timeSpentSeconds": 60})
        told = {(event.occurrence, event.type) for event in map(read_event, bodies(jira)) if event.type != WITHOUT_PART}
        assert len(told) == (6 if server.is_cloud else 8)  # Cloud tells of a comment once

        jql = updated_since("project = OPS ORDER BY key", since, zone, jira.store.now())
        status, body = await ask(jira, search(server, jql))
        assert status == 200
        page = read_page(body)
        found = [event for one in page.issues for event in found_events(one, since)]
        assert {event.occurrence for event in found} == {occurrence for occurrence, _ in told}
        kinds = {(event.occurrence, kind) for event in found for kind in event.types if kind != WITHOUT_PART}
        assert told < kinds if server.is_cloud else told == kinds
        assert {event.issue_id for event in found} == {read_event(body).issue_id for body in bodies(jira)}
