"""Registrations of webhooks: documents in the form of each version, lists as nobody should answer them, and the clicks."""

import json
from pathlib import Path

import pytest

from jira_api import webhook_api
from jira_api.events.names import KNOWN_EVENTS
from jira_api.server_info import ServerInfo
from jira_api.webhook_api import InvalidWebhook, SeenWebhook, WantedWebhook, api_of, differences, manual_steps

DATA = Path(__file__).parent / "data"
EVENTS = frozenset({"jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created"})
URL = "https://hooks.bridge.example/in/4f1c2e9a7b5d4d0f8a6e"
WANTED = WantedWebhook("Bridge: OPS issues", URL, EVENTS, "project = OPS", "not-a-real-secret")
SEEN = SeenWebhook("31", WANTED.name, URL, EVENTS, "project = OPS", enabled=True, excludes_body=False)


def server(*numbers, deployment="Server"):
    return ServerInfo("https://jira.corp.example/jira", ".".join(map(str, numbers)), numbers, deployment, "")


CLOUD = server(1001, 0, 0, deployment="Cloud")
CLASSIC, MODERN, ON_CLOUD = api_of(server(9, 12, 5)), api_of(server(10, 3, 19)), api_of(CLOUD)


def data(name):
    return json.loads((DATA / f"{name}.json").read_bytes())


def seen(api=MODERN, **more):
    entry = data("webhook-register-10-response" if api.is_modern else "webhook-register-7to9-response")
    return api.read(json.dumps({**entry, **more}).encode())


@pytest.mark.parametrize(
    ("info", "path", "signs"),
    [
        (server(7, 13, 0), "/rest/webhooks/1.0/webhook", False),
        (server(9, 12, 5), "/rest/webhooks/1.0/webhook", False),
        (server(10, 0), "/rest/jira-webhook/1.0/webhooks", True),
        (server(11, 1, 0), "/rest/jira-webhook/1.0/webhooks", True),
        (server(), "/rest/webhooks/1.0/webhook", False),
        (CLOUD, "/rest/webhooks/1.0/webhook", True),
    ],
)
def test_the_version_decides_the_api_and_whether_it_signs(info, path, signs):
    assert (api_of(info).path, api_of(info).signs) == (path, signs)


def test_a_registration_has_the_form_of_its_version():
    request = CLASSIC.create_request(WANTED)
    expected = data("webhook-register-7to9-request")
    assert (request.method, request.target) == (b"POST", b"/rest/webhooks/1.0/webhook")
    assert json.loads(request.body) == {**expected, "events": sorted(EVENTS)}
    on_cloud = json.loads(ON_CLOUD.create_request(WANTED).body)
    assert on_cloud == {**expected, "events": sorted(EVENTS), "secret": "not-a-real-secret"}
    request = MODERN.create_request(WANTED)
    expected = data("webhook-register-10-request")
    del expected["configuration"]["DESCRIPTION"]
    assert (request.method, request.target) == (b"POST", b"/rest/jira-webhook/1.0/webhooks")
    assert json.loads(request.body) == {**expected, "events": sorted(EVENTS)}


def test_without_filter_and_secret_neither_is_sent():
    wanted = WantedWebhook("x", URL, EVENTS, None, None)
    assert json.loads(CLASSIC.create_request(wanted).body)["filters"] == {"issue-related-events-section": ""}
    assert "secret" not in json.loads(ON_CLOUD.create_request(wanted).body)
    assert json.loads(MODERN.create_request(wanted).body)["configuration"] == {"EXCLUDE_BODY": "false"}


def test_one_webhook_is_changed_and_removed_by_its_number():
    request = MODERN.update_request("31", WANTED)
    assert (request.method, request.target) == (b"PUT", b"/rest/jira-webhook/1.0/webhooks/31")
    assert request.body == MODERN.create_request(WANTED).body
    assert CLASSIC.delete_request("12") == (b"DELETE", b"/rest/webhooks/1.0/webhook/12", b"")
    assert CLASSIC.list_request().target == b"/rest/webhooks/1.0/webhook"
    assert MODERN.list_request().target == b"/rest/jira-webhook/1.0/webhooks?start=0&limit=1000"


@pytest.mark.parametrize("number", ["", "../1", "1/enabled", "1?x", "a", "-1", "1\n", "1" * 20, "\u0661"])
def test_what_is_no_number_never_becomes_a_path(number):
    with pytest.raises(InvalidWebhook):
        CLASSIC.delete_request(number)
    with pytest.raises(InvalidWebhook):
        MODERN.update_request(number, WANTED)


def test_real_answers_are_read():
    assert MODERN.read((DATA / "webhook-register-10-response.json").read_bytes()) == SEEN
    classic = CLASSIC.read((DATA / "webhook-register-7to9-response.json").read_bytes())
    assert (classic.remote_id, differences(WANTED, classic)) == ("12", [])
    assert MODERN.read_list((DATA / "webhook-list-10.json").read_bytes()) == [SEEN]
    room, bridge = CLASSIC.read_list((DATA / "webhook-list-7to9.json").read_bytes())
    assert bridge == classic
    assert (room.remote_id, room.jql, room.enabled, room.excludes_body) == ("3", None, False, True)


@pytest.mark.parametrize(
    ("filters", "jql"),
    [
        ("project = OPS", "project = OPS"),
        (" project = OPS\n", "project = OPS"),
        ('{"issue-related-events-section":"project = OPS"}', "project = OPS"),
        ({"issue-related-events-section": "project = OPS"}, "project = OPS"),
        ('{"issue-related-events-section":""}', None),
        ('{"issue-related-events-section":5}', None),
        ("{broken", None),
        ('{"a":' * 20_000, None),
        ("", None),
        (None, None),
        (5, None),
        ("summary ~ \ud800", "summary ~ ?"),
    ],
)
def test_a_filter_is_read_in_every_form(filters, jql):
    assert seen(MODERN, configuration={"FILTERS": filters}).jql == jql


def test_lists_may_be_paged_and_hold_what_cannot_be_read():
    good = data("webhook-list-10")[0]
    others = [None, 5, [], {}, {"id": 5}, {**good, "url": None}, {**good, "id": "x"}, {**good, "url": "a\nb"}]
    others += [{**good, "id": True}, {**good, "url": "x" * 9000}, {**good, "url": "\ud800"}]
    assert MODERN.read_list(json.dumps([*others, good]).encode()) == [SEEN]
    assert MODERN.read_list(json.dumps({"values": [good]}).encode()) == [SEEN]
    assert len(MODERN.read_list(json.dumps([good] * 1100).encode())) == 1000


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"5", b'{"values":{}}', b"[" * 100_000])
def test_what_is_no_list_or_no_webhook_is_refused(body):
    for api in (CLASSIC, MODERN):
        with pytest.raises(InvalidWebhook) as invalid:
            api.read_list(body)
        assert invalid.value.reason
        with pytest.raises(InvalidWebhook):
            api.read(body)


def test_answers_beyond_the_limits_are_refused():
    with pytest.raises(InvalidWebhook, match="larger"):
        MODERN.read(b" " * (webhook_api.MAX_WEBHOOK_BYTES + 1))
    with pytest.raises(InvalidWebhook, match="larger"):
        MODERN.read_list(b"[]" + b" " * webhook_api.MAX_LIST_BYTES)


def test_texts_of_others_are_bounded():
    found = seen(name="x" * 9000 + "\ud800", events=["comment_created", 5, "x" * 99, "ä"] + ["a"] * 10_000)
    assert found.name == "x" * 255
    assert found.events == {"comment_created", "a"}
    assert seen(name=5, events="comment_created") == seen(name="", events=[])


@pytest.mark.parametrize(
    ("api", "more", "words"),
    [
        (MODERN, {"url": "https://other.example/secret"}, "its url is another one at other.example"),
        (MODERN, {"url": "https://u:p@other.example/"}, "its url is another one at other.example"),
        (MODERN, {"url": "http://[x"}, "its url is another one"),
        (MODERN, {"events": ["b", "a"]}, "its events are a, b"),
        (MODERN, {"events": []}, "its events are none"),
        (MODERN, {"active": False}, "it is switched off"),
        (CLASSIC, {"enabled": False}, "it is switched off"),
        (MODERN, {"configuration": {"FILTERS": "project = X"}}, "its filter is project = X"),
        (CLASSIC, {"filters": {}}, "its filter is empty: it fires for every issue"),
        (CLASSIC, {"excludeBody": True}, "it sends no body"),
        (MODERN, {"configuration": {"FILTERS": "project = OPS", "EXCLUDE_BODY": "TRUE"}}, "it sends no body"),
    ],
)
def test_every_difference_is_said(api, more, words):
    assert differences(WANTED, seen(api, **more)) == [words]
    assert differences(WANTED, seen(api)) == []


def test_a_filter_that_should_not_be_there_is_a_difference():
    wanted = WantedWebhook(WANTED.name, URL, EVENTS, None, None)
    assert differences(wanted, SEEN) == ["its filter is project = OPS"]


def test_secrets_have_no_printable_form():
    for text in (repr(WANTED), repr(SEEN), *differences(WANTED, seen(url=URL + "x"))):
        assert "4f1c2e9a" not in text
        assert "not-a-real-secret" not in text


def test_the_clicks_name_everything_that_has_to_be_entered():
    steps = manual_steps(server(10, 3, 19), WANTED)
    text = "\n".join(steps)
    assert "https://jira.corp.example/jira/plugins/servlet/webhooks" in steps[0]
    assert f"URL: {URL}" in steps
    assert "Secret: not-a-real-secret" in steps
    assert 'In the JQL field of "Issue related events": project = OPS' in steps
    boxes = 'Under "Issue related events" tick Issue: created, updated, deleted; Comment: created.'
    assert boxes in text
    assert "Bridge: OPS issues" in text
    assert '"Exclude body" unticked' in text
    assert steps[-1] == 'Click "Create".'


def test_a_version_that_signs_nothing_has_no_field_for_a_secret():
    assert "not-a-real-secret" not in "\n".join(manual_steps(server(9, 12, 5), WANTED))
    assert "Secret: not-a-real-secret" in manual_steps(CLOUD, WANTED)
    unknown = "\n".join(manual_steps(None, WANTED))
    assert "older ones have no such field): not-a-real-secret" in unknown
    assert "/plugins/servlet/webhooks below Jira's base URL" in unknown
    assert "Secret" not in "\n".join(manual_steps(None, WantedWebhook("x", URL, EVENTS, None, None)))


def test_every_event_has_its_check_box_in_the_clicks():
    text = "\n".join(manual_steps(CLOUD, WantedWebhook("x", URL, frozenset(KNOWN_EVENTS), None, None)))
    assert 'Leave the JQL field of "Issue related events" empty.' in text
    assert "Worklog: created, updated, deleted" in text
    assert "worklog changed" in text
    assert 'Under "Jira configuration related events" tick Voting, Watching' in text
    assert 'Under "Jira Software related events" tick Sprint: created, updated, deleted, started, closed; Board' in text
