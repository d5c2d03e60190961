"""Links of Jira lead back to the gateway, and nothing else in an answer changes: real gateway, agent and stand-in."""

import gzip
import json

import pytest
import pytest_asyncio

from tests.support.fake_jira import FakeJira, Status
from tests.support.in_process import running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE_URL = "https://jira.corp.example/jira"
ISSUE = "/rest/api/2/issue/OPS-1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with (
        FakeJira(context="/jira", base_url=BASE_URL) as jira,
        running_gateway(
            tmp_path_factory.mktemp("stack"), connection_domain="gw.example", public_url="https://gw.example:8443"
        ) as stack,
    ):
        stack.jira = jira
        await stack.enroll("hq", jira)
        await stack.connect("hq")
        await stack.connect("raw", "hq", rewrite_links=False)
        yield stack


@pytest.fixture
def jira(world):
    world.jira.behave()
    world.jira.requests.clear()
    world.jira.gzip = False
    return world.jira


@pytest_asyncio.fixture(loop_scope="module", params=["path", "host", "host without context path"])
async def addressed(request, world):
    """A caller, how it writes targets, and what stands for Jira's base URL in its answers."""
    if request.param == "path":
        return await world.caller("hq"), "/jira/hq", "https://gw.example:8443/jira/hq"
    prefix = "/jira" if request.param == "host" else ""
    return await world.caller("hq", host="hq.gw.example"), prefix, "https://hq.gw.example:8443/jira"


def strings(value):
    """Yield every string of a JSON document."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


async def test_links_in_json_lead_back_to_the_gateway(jira, addressed):
    caller, prefix, public = addressed
    answer = await caller.send("GET", prefix + ISSUE)
    links = [text for text in strings(answer.json()) if text.startswith("http")]

    assert answer.json()["self"].startswith(public + "/rest/api/2/issue/")
    assert links
    assert [link for link in links if link.startswith((BASE_URL, jira.url))] == []


async def test_the_base_url_that_jira_tells_is_ours(jira, addressed):
    caller, prefix, public = addressed
    answer = await caller.send("GET", prefix + "/rest/api/2/serverInfo")

    assert answer.json()["baseUrl"] == public


async def test_the_address_that_the_agent_uses_is_rewritten_too(jira, addressed):
    caller, prefix, public = addressed
    content = json.dumps({"self": jira.url + "/rest/x", "iconUrl": BASE_URL + "/i.png"})
    jira.misbehave(ISSUE, Status(200, (("Content-Type", "application/json"),), content))
    answer = await caller.send("GET", prefix + ISSUE)

    assert answer.json() == {"self": public + "/rest/x", "iconUrl": public + "/i.png"}


@pytest.mark.parametrize("status", [201, 302])
@pytest.mark.parametrize(
    "location", [BASE_URL + "/browse/OPS-1?a=b", "/jira/browse/OPS-1?a=b", "{agent}/browse/OPS-1?a=b"]
)
async def test_a_location_leads_back_to_the_gateway(jira, addressed, status, location):
    caller, prefix, public = addressed
    jira.misbehave(ISSUE, Status(status, (("Location", location.format(agent=jira.url)),)))
    answer = await caller.send("GET", prefix + ISSUE)

    assert answer.header("Location") == public + "/browse/OPS-1?a=b"


@pytest.mark.parametrize("location", ["https://elsewhere.example/x", "https://jira.corp.example.evil/jira/x", "x?y"])
async def test_a_location_elsewhere_stays(jira, addressed, location):
    caller, prefix, _ = addressed
    jira.misbehave(ISSUE, Status(302, (("Location", location),)))

    assert (await caller.send("GET", prefix + ISSUE)).header("Location") == location


@pytest.mark.parametrize(
    "document",
    [
        {"fields": {"summary": BASE_URL + "/x", "description": f"see {BASE_URL}/browse/OPS-1"}},
        {"url": BASE_URL + "/x"},
        {"self": "https://jira.corp.example.evil/jira/x"},
        {"self": "https://jira.corp.example/jirax/rest"},
        {"self": "http://jira.corp.example/jira/x"},
    ],
)
async def test_what_is_no_link_of_this_jira_stays(jira, addressed, document):
    caller, prefix, _ = addressed
    content = json.dumps(document)
    jira.misbehave(ISSUE, Status(200, (("Content-Type", "application/json"),), content))

    assert (await caller.send("GET", prefix + ISSUE)).body == content.encode()


async def test_text_that_is_not_json_stays(jira, addressed):
    caller, prefix, _ = addressed
    content = json.dumps({"self": BASE_URL + "/x"})
    jira.misbehave(ISSUE, Status(200, (("Content-Type", "text/plain"),), content))
    answer = await caller.send("GET", prefix + ISSUE)

    assert answer.body == content.encode()
    assert answer.header("Content-Length") == str(len(content))


async def test_an_attachment_stays_byte_for_byte(world, jira, addressed):
    caller, prefix, public = addressed
    content = json.dumps({"self": BASE_URL + "/x"}).encode()
    boundary = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.json"\r\n'
    form = boundary + b"Content-Type: application/json\r\n\r\n" + content + b"\r\n--b--\r\n"
    headers = [("Content-Type", "multipart/form-data; boundary=b"), ("X-Atlassian-Token", "no-check")]
    uploaded = await caller.send("POST", f"{prefix}{ISSUE}/attachments", headers, form)
    link = uploaded.json()[0]["content"]
    downloaded = await caller.send("GET", prefix + link.removeprefix(public))

    assert link.startswith(public + "/secure/attachment/")
    assert downloaded.body == content


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "br", None])
async def test_compressed_answers_are_rewritten_too(jira, addressed, accepted):
    caller, prefix, public = addressed
    jira.gzip = True
    answer = await caller.send("GET", prefix + ISSUE, [("Accept-Encoding", accepted)] if accepted else [])
    coding = answer.header("Content-Encoding")
    body = gzip.decompress(answer.body) if coding == "gzip" else answer.body

    assert coding == ("gzip" if accepted and "gzip" in accepted else None)
    assert json.loads(body)["self"].startswith(public)


async def test_head_of_a_compressed_answer_is_an_answer(jira, addressed):
    caller, prefix, _ = addressed
    jira.gzip = True
    answer = await caller.send("HEAD", prefix + ISSUE, [("Accept-Encoding", "gzip")])

    assert answer.status == 200


async def test_a_damaged_compressed_answer_is_never_passed_off_as_whole(jira, addressed):
    caller, prefix, _ = addressed
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    jira.misbehave(ISSUE, Status(200, headers, "this is no gzip"))
    from tests.support.caller import AnswerCut

    with pytest.raises(AnswerCut):
        await caller.send("GET", prefix + ISSUE, [("Accept-Encoding", "gzip")])


async def test_a_connection_may_leave_links_alone(world, jira):
    caller = await world.caller("raw")
    answer = await caller.send("GET", "/jira/raw" + ISSUE, [("Accept-Encoding", "br")])

    assert answer.json()["self"].startswith(BASE_URL)
    assert jira.requests[0].header("Accept-Encoding") == b"br"


async def test_the_host_header_decides_nothing_about_links(world, jira):
    caller = await world.caller("hq", host="evil.example")
    answer = await caller.send("GET", "/jira/hq" + ISSUE, [("X-Forwarded-Host", "evil.example")])

    assert b"evil.example" not in answer.body
