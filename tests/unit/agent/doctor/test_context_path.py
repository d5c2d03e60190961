"""Where Jira is looked for when it is not where it should be."""

import pytest

from agent.addresses import JiraAddress
from agent.doctor.context_path import base_of, candidates, context_of, find_jira, location
from http1.fetch import Fetched
from jira_api.readiness import NoAnswer

JIRA = JiraAddress.parse("https://jira.corp.local/wrong/place")
INFO = b'{"baseUrl": "https://jira.corp.local/jira", "version": "9.12.5"}'


class Desk:
    """Answers what it knows, and 404 to the rest."""

    def __init__(self, **answers):
        self.answers = {path.encode(): answer for path, answer in answers.items()}
        self.asked = []

    async def ask(self, target, method=b"GET"):
        self.asked.append(target.decode())
        answer = self.answers.get(target, Fetched(404, [], b""))
        if answer is None:
            raise NoAnswer("gone")
        return answer


def redirect(to):
    return Fetched(302, [(b"Location", to.encode())], b"")


def test_parts_of_the_configured_path_and_the_usual_ones_are_tried():
    assert candidates("/wrong/place", ["/hinted"]) == ["/hinted", "/wrong", "", "/jira"]
    assert candidates("/jira", []) == [""]
    assert candidates("", ["/tracker", "/tracker"]) == ["/tracker", "/jira"]
    assert len(candidates("/a/b/c/d/e/f/g", [])) == 5


@pytest.mark.parametrize(
    ("to", "url"),
    [
        ("/jira/secure/Dashboard.jspa", "https://jira.corp.local/jira/secure/Dashboard.jspa"),
        ("https://other.local/x", "https://other.local/x"),
        ("javascript:alert(1)", ""),
        ("https://[bad", ""),
        ("/\x1b[2J", ""),
        ("", ""),
    ],
)
def test_a_redirect_is_read_or_left(to, url):
    assert location(JIRA, redirect(to)) == url
    assert location(JIRA, Fetched(200, [(b"Location", to.encode())], b"")) == ""


def test_the_first_part_of_a_path_is_the_context_and_jiras_own_pages_are_not():
    assert context_of(JIRA, "https://jira.corp.local/tracker/secure/Dashboard.jspa") == "/tracker"
    assert context_of(JIRA, "https://jira.corp.local/secure/Dashboard.jspa") == ""
    assert context_of(JIRA, "https://jira.corp.local/") == ""
    assert base_of("https://new.local:8443/jira/secure/Dashboard.jspa?x=1") == "https://new.local:8443/jira"
    assert base_of("https://new.local/") == "https://new.local"


async def test_jira_is_found_where_its_root_leads_to():
    desk = Desk(**{"/": redirect("/tracker/"), "/tracker/rest/api/2/serverInfo": Fetched(200, [], INFO)})
    found = await find_jira(desk, JIRA, Fetched(404, [], b""))
    assert (found.url, "9.12.5" in found.because) == ("https://jira.corp.local/tracker", True)


async def test_another_host_is_named_and_never_asked():
    desk = Desk(**{"/": redirect("https://new.local/jira/secure/Dashboard.jspa")})
    found = await find_jira(desk, JIRA, Fetched(404, [], b""))
    assert found.url == "https://new.local/jira"
    assert desk.asked == ["/wrong/place/", "/"]


async def test_without_a_jira_nothing_is_suggested():
    assert await find_jira(Desk(), JIRA, Fetched(404, [], b"")) is None
    assert await find_jira(Desk(**{"/": None}), JIRA, Fetched(404, [], b"")) is None
