"""The stand-in Jira over real sockets: with the unchanged client, byte by byte, and when it misbehaves."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import json
import ssl
import urllib.error
import urllib.request

import pytest
from jira import JIRA, JIRAError

from tests.support.fake_jira import (
    ON_PREMISE,
    Canned,
    CloseAfterRequestHead,
    CloseBeforeAnswer,
    CutMidBody,
    DripBody,
    FakeJira,
    Hang,
    JiraProcess,
    LieAboutLength,
    RawAnswer,
    Slow,
    StallBody,
    Status,
    client_context,
    make_certificate,
    pattern_sha256,
    server_context,
)

NAME = "svc.bridge"
PASSWORD = f"password-of-{NAME}"
BASIC = "Authorization: Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
ADMIN = "Authorization: Basic " + base64.b64encode(b"admin:password-of-admin").decode()


async def talk(jira, request, *, tls=None, until_close=False):
    """Send raw bytes; returns (status, headers, body) of one answer, or all bytes until the server closes."""
    reader, writer = await asyncio.open_connection(jira.host, jira.port, ssl=tls)
    try:
        async with asyncio.timeout(10):
            writer.write(request)
            if until_close:
                with contextlib.suppress(ConnectionResetError):
                    return await reader.read()
                return b""
            return await read_answer(reader)
    finally:
        writer.transport.abort()


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    found = {name.lower(): value for name, value in headers}
    body = b""
    if "content-length" in found:
        body = await reader.readexactly(int(found["content-length"]))
    elif found.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size + 2)
            body = body[:-2]
        await reader.readline()
    return int(lines[0].split()[1]), headers, body


def get(path, *headers, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: j", *headers, "", ""]).encode("latin-1")


def send(method, path, value, *headers):
    body = json.dumps(value).encode()
    head = [*headers, "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return get(path, *head, method=method) + body


def use_like_an_integration(url, *, old_webhooks, **login):
    """What the usual integration does with the unchanged client; runs in a thread."""
    client = JIRA(url, max_retries=0, **login)
    issue = client.create_issue(project="OPS", summary="From the client", issuetype={"name": "Task"})
    client.add_comment(issue, "first")
    assert [comment.body for comment in client.comments(issue)] == ["first"]
    found = client.search_issues('project = OPS AND summary ~ "From the client"')
    assert [item.key for item in found] == [issue.key]
    client.transition_issue(issue, "Start work")
    client.assign_issue(issue, "omar.haddad")
    data = bytes(range(256)) * 4000
    attachment = client.add_attachment(issue, io.BytesIO(data), filename="größe 1.bin")
    assert client.attachment(attachment.id).get() == data
    issue.update(summary="Changed")
    issue.update(fields={"labels": ["a"]})
    client.add_watcher(issue, "ines.ferro")
    client.create_issue_link("Blocks", issue.key, "OPS-7")
    client.add_worklog(issue, timeSpentSeconds=60)
    issue = client.issue(issue.key)
    fields = issue.fields
    assert (fields.summary, str(fields.status), fields.assignee.name) == ("Changed", "In Progress", "omar.haddad")
    assert fields.issuelinks[0].outwardIssue.key == "OPS-7"
    api = "webhooks/1.0/webhook" if old_webhooks else "jira-webhook/1.0/webhooks"
    with pytest.raises(JIRAError) as refused:
        client._get_json(api, base="{server}/rest/{path}")
    assert refused.value.status_code == 403
    issue.delete()
    with pytest.raises(JIRAError) as missing:
        client.issue(issue.key)
    assert missing.value.status_code == 404
    client.close()


@pytest.mark.parametrize("profile", ON_PREMISE)
async def test_the_unchanged_client_works_with_every_version(profile):
    async with FakeJira(profile, context="/jira") as jira:
        old = not jira.profile.new_webhooks
        await asyncio.to_thread(use_like_an_integration, jira.url, old_webhooks=old, basic_auth=(NAME, PASSWORD))
        assert jira.crashes == []
        assert {record.user for record in jira.matching("/rest/api/2/issue")} == {NAME}


async def test_the_unchanged_client_works_with_a_token_without_context_path():
    async with FakeJira("8.20") as jira:
        token = jira.users[NAME].token
        await asyncio.to_thread(use_like_an_integration, jira.url, old_webhooks=True, token_auth=token)


async def test_a_request_is_recorded_byte_for_byte():
    async with FakeJira(context="/jira") as jira:
        raw = b"POST /jira/rest/api/2/test/sink?a=%2B+[x]&a=2 HTTP/1.1\r\nhOST: h\r\nX-A:  1\r\nx-a: \xfc\r\nContent-Length: 5\r\n\r\n"
        status, _, body = await talk(jira, raw + b"hello")
        (record,) = jira.requests
        assert (status, record.raw_head, record.body, record.target) == (
            200,
            raw,
            b"hello",
            b"/jira/rest/api/2/test/sink?a=%2B+[x]&a=2",
        )
        assert record.headers == [(b"hOST", b"h"), (b"X-A", b"1"), (b"x-a", b"\xfc"), (b"Content-Length", b"5")]
        assert (record.completed, record.answered, record.aborted, record.status) == (True, True, False, 200)
        assert json.loads(body)["body"] == {"size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}


async def test_chunked_bodies_and_trailers_are_understood():
    async with FakeJira() as jira:
        request = get("/rest/api/2/test/echo-body", "Transfer-Encoding: chunked", method="PUT")
        status, headers, body = await talk(jira, request + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")
        assert (status, body, jira.requests[-1].trailers) == (200, b"abcde", [(b"X-T", b"1")])
        assert ("Transfer-Encoding", "chunked") in headers


async def test_a_client_that_expects_a_continue_gets_one_when_the_body_is_wanted():
    async with FakeJira() as jira:
        reader, writer = await asyncio.open_connection(jira.host, jira.port)
        writer.write(get("/rest/api/2/test/sink", "Content-Length: 2", "Expect: 100-continue", method="PUT"))
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
            writer.write(b"ok")
            assert (await read_answer(reader))[0] == 200
        writer.transport.abort()


async def test_answers_carry_the_headers_of_a_real_jira():
    async with FakeJira("8.20", context="/jira") as jira:
        _, headers, _ = await talk(jira, get("/jira/rest/api/2/myself", BASIC))
        names = [name for name, _ in headers]
        assert ("Content-Type", "application/json;charset=UTF-8") in headers
        assert ("X-AUSERNAME", NAME) in headers
        assert ("X-Seraph-LoginReason", "OK") in headers
        assert names.count("Set-Cookie") == 2
        assert {"X-AREQUESTID", "X-ANODEID", "X-ASESSIONID", "Transfer-Encoding"} <= set(names)


async def test_links_use_the_configured_base_url_wherever_it_listens():
    async with FakeJira(context="/jira", base_url="https://jira.corp.example/jira") as jira:
        _, _, body = await talk(jira, get("/jira/rest/api/2/issue/OPS-42", BASIC))
        issue = json.loads(body)
        assert issue["self"] == "https://jira.corp.example/jira/rest/api/2/issue/10942"
        content = issue["fields"]["attachment"][0]["content"]
        assert content.startswith("https://jira.corp.example/jira/secure/attachment/")
        assert content.endswith("/pressure+log.csv")
        _, _, body = await talk(jira, get("/jira/rest/api/2/serverInfo"))
        assert json.loads(body)["baseUrl"] == "https://jira.corp.example/jira"


@pytest.mark.parametrize(
    "target", ["/rest/api/2/..;/..;/..;/secure/admin", "/rest/api/2/%2e%2e/%2e%2e/%2e%2e/secure/admin"]
)
async def test_a_path_bypass_really_reaches_the_admin_page(target):
    async with FakeJira(context="/jira") as jira:
        status, _, body = await talk(jira, get("/jira" + target))
        assert (status, body, jira.requests[0].mapped_path) == (200, b"ADMIN", "/secure/admin")


@pytest.mark.parametrize(
    ("profile", "name", "path", "status"),
    [
        ("9.12", NAME, "/rest/api/2/issue/OPS-9999", 404),
        ("9.12", NAME, "/rest/api/2/issue/HID-1", 403),
        ("9.12", NAME, "/rest/api/2/issue/OPS-13", 403),
        ("9.12", "admin", "/rest/api/2/issue/OPS-13", 200),
        ("9.12", None, "/rest/api/2/issue/OPS-1", 401),
        ("cloud", None, "/rest/api/3/issue/OPS-1", 404),
        ("9.12", NAME, "/rest/api/2/project/HID", 404),
        ("9.12", NAME, "/rest/api/2/search?jql=project%3DHID", 400),
        ("9.12", None, "/rest/api/2/myself", 401),
        ("9.12", None, "/rest/api/2/project", 200),
        ("9.12", "no.access", "/rest/api/2/myself", 403),
        ("9.12", "locked", "/rest/api/2/myself", 403),
        ("9.12", NAME, "/rest/api/3/myself", 302),
        ("9.12", NAME, "/rest/api/2/issue/createmeta", 404),
        ("8.20", NAME, "/rest/api/2/issue/createmeta", 200),
        ("7.13", NAME, "/rest/api/2/issue/createmeta/OPS/issuetypes", 404),
        ("9.12", NAME, "/rest/api/2/issue/createmeta/OPS/issuetypes/10001", 200),
        ("10.3", "admin", "/rest/webhooks/1.0/webhook", 404),
        ("10.3", "admin", "/rest/jira-webhook/1.0/webhooks", 200),
        ("9.12", "admin", "/rest/webhooks/1.0/webhook", 200),
        ("9.12", NAME, "/rest/api/2/permissionscheme", 403),
        ("9.12", "admin", "/rest/api/2/permissionscheme", 200),
        ("9.12", NAME, "/rest/agile/1.0/board/3/sprint?state=active", 200),
        ("9.12", None, "/rest/servicedeskapi/info", 200),
        ("9.12", None, "/secure/attachment/20004/hall3.png", 302),
        ("9.12", None, "/nothing/here", 404),
        ("9.12", None, "/%2f", 400),
    ],
)
async def test_who_gets_what(profile, name, path, status):
    async with FakeJira(profile) as jira:
        headers = []
        if name is not None:
            user = jira.users[name]
            credentials = f"{name}:{user.password}".encode()
            headers = ["Authorization: Basic " + base64.b64encode(credentials).decode()]
        assert (await talk(jira, get(path, *headers)))[0] == status
        assert jira.crashes == []


async def test_permissions_differ_by_user_and_context():
    async with FakeJira() as jira:

        async def held(login, query):
            _, _, body = await talk(jira, get(f"/rest/api/2/mypermissions{query}", login))
            return {key for key, row in json.loads(body)["permissions"].items() if row["havePermission"]}

        assert {"BROWSE_PROJECTS", "BROWSE", "EDIT_ISSUES"} <= await held(BASIC, "?projectKey=OPS")
        assert "ADMINISTER" not in await held(BASIC, "")
        assert "ADMINISTER" in await held(ADMIN, "?projectKey=HID")


async def test_a_wrong_password_is_answered_in_html_and_three_lock_the_account():
    async with FakeJira() as jira:
        wrong = "Authorization: Basic " + base64.b64encode(f"{NAME}:wrong".encode()).decode()
        for _ in range(3):
            status, headers, _ = await talk(jira, get("/rest/api/2/myself", wrong))
            assert (status, dict(headers)["Content-Type"]) == (401, "text/html;charset=UTF-8")
        status, headers, _ = await talk(jira, get("/rest/api/2/myself", BASIC))
        assert status == 403
        assert dict(headers)["X-Authentication-Denied-Reason"].startswith("CAPTCHA_CHALLENGE")


async def test_sessions_are_opened_used_and_closed():
    async with FakeJira(context="/jira") as jira:
        path = "/jira/rest/auth/1/session"
        status, headers, body = await talk(jira, send("POST", path, {"username": NAME, "password": PASSWORD}))
        cookie = "Cookie: JSESSIONID=" + json.loads(body)["session"]["value"]
        assert status == 200
        assert any(name == "Set-Cookie" and value.endswith("Path=/jira; HttpOnly") for name, value in headers)
        assert json.loads((await talk(jira, get(path, cookie)))[2])["name"] == NAME
        assert (await talk(jira, get(path, cookie, method="DELETE")))[0] == 204
        assert (await talk(jira, get(path, cookie)))[0] == 401


async def test_search_pages_and_caps():
    async with FakeJira(issues=1100) as jira:
        request = send(
            "POST", "/rest/api/2/search", {"jql": "project = OPS", "maxResults": 5000, "fields": ["summary"]}, BASIC
        )
        page = json.loads((await talk(jira, request))[2])
        assert (page["maxResults"], page["total"], len(page["issues"])) == (1000, 1099, 1000)
        page = json.loads(
            (await talk(jira, get("/rest/api/2/search?jql=&startAt=1090&fields=summary,status", BASIC)))[2]
        )
        assert (page["maxResults"], len(page["issues"])) == (50, 9)
        assert page["issues"][0]["fields"].keys() == {"summary", "status"}


async def test_an_upload_needs_the_xsrf_header_and_a_generated_download_has_a_known_hash():
    async with FakeJira() as jira:
        status, _, body = await talk(
            jira, get("/rest/api/2/issue/OPS-1/attachments", BASIC, "Content-Length: 0", method="POST")
        )
        assert (status, body) == (403, b"XSRF check failed")
        size = 3_000_000
        attachment = jira.add_generated_attachment("OPS-1", "big file.bin", size)
        status, headers, body = await talk(jira, get(f"/secure/attachment/{attachment.id}/big+file.bin", BASIC))
        assert (status, hashlib.sha256(body).hexdigest()) == (200, pattern_sha256(size))
        assert dict(headers)["Content-Disposition"] == "attachment; filename*=UTF-8''big%20file.bin;"


async def test_cloud_hands_downloads_to_another_host_that_takes_no_login():
    async with FakeJira("cloud") as jira:
        attachment = jira.add_generated_attachment("OPS-1", "big.bin", 30_000)
        login = "Authorization: Basic " + base64.b64encode(b"svc.bridge@corp.example:pat-10412-of-svc.bridge").decode()
        content = get(f"/rest/api/3/attachment/content/{attachment.id}", login)
        status, headers, _ = await talk(jira, content)
        origin, slash, rest = dict(headers)["Location"].partition("/media")
        assert (status, origin) == (303, f"http://localhost:{jira.port}")

        media = get(slash + rest)
        there = media.replace(b"Host: j", f"Host: localhost:{jira.port}".encode())
        status, headers, body = await talk(jira, there)
        assert (status, hashlib.sha256(body).hexdigest()) == (200, pattern_sha256(30_000))
        assert "Set-Cookie" not in dict(headers)
        assert (await talk(jira, there.replace(b"\r\n\r\n", f"\r\n{login}\r\n\r\n".encode())))[0] == 400
        assert (await talk(jira, there.replace(b"token=signed", b"token=forged")))[0] == 403
        assert (await talk(jira, media))[0] == 404  # not on Jira's own host
        assert jira.requests[-3].header("Authorization")  # recorded for tests to see


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 201),
        (("User-Agent: Mozilla/5.0",), 403),
        (("User-Agent: Mozilla/5.0", "X-Atlassian-Token: no-check"), 403),
        (("User-Agent: Mozilla/5.0", "Origin: https://jira.corp.example"), 201),
        (("User-Agent: Mozilla/5.0", "Referer: https://jira.corp.example/jira/x"), 201),
        (("User-Agent: Mozilla/5.0", "Origin: https://evil.example"), 403),
    ],
)
async def test_a_browser_must_come_from_jiras_own_origin(headers, status):
    async with FakeJira(base_url="https://jira.corp.example/jira") as jira:
        request = send("POST", "/rest/api/2/issue/OPS-1/comment", {"body": "x"}, BASIC, *headers)
        assert (await talk(jira, request))[0] == status


@pytest.mark.parametrize(
    "body", ['{"fields":1}', '{"fields":{"project":1}}', "[]", "{", "1", '{"update":{"labels":["a"]}}']
)
async def test_json_of_the_wrong_shape_is_a_400(body):
    async with FakeJira() as jira:
        for method, path in (("POST", "/rest/api/2/issue"), ("PUT", "/rest/api/2/issue/OPS-1")):
            request = get(path, BASIC, "Content-Type: application/json", f"Content-Length: {len(body)}", method=method)
            status, _, _ = await talk(jira, request + body.encode())
            assert status == 400 or (method, body) == ("PUT", '{"fields":{"project":1}}')
        assert jira.crashes == []


async def test_connections_that_it_drops_itself_are_not_called_aborted():
    async with FakeJira() as jira:
        jira.misbehave("/", Hang())
        reader, writer = await asyncio.open_connection(jira.host, jira.port)
        writer.write(get("/status"))
        await jira.wait_for(lambda j: j.active == 1)
        assert jira.drop_connections() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await jira.wait_for(lambda j: j.active == 0)
        assert (jira.requests[0].aborted, jira.requests[0].answered) == (False, False)
        writer.transport.abort()


async def test_gzip_only_when_switched_on_and_accepted():
    async with FakeJira() as jira:
        jira.gzip = True
        accepting = get("/rest/api/2/serverInfo", "Accept-Encoding: gzip")
        assert ("Content-Encoding", "gzip") in (await talk(jira, accepting))[1]
        assert "Content-Encoding" not in dict((await talk(jira, get("/rest/api/2/serverInfo")))[1])


async def test_rate_limit_headers_and_429():
    async with FakeJira() as jira:
        jira.rate_limit = {"X-RateLimit-Remaining": "69", "Retry-After": "0"}
        assert dict((await talk(jira, get("/rest/api/2/myself", BASIC)))[1])["X-RateLimit-Remaining"] == "69"
        jira.misbehave("/rest/api/2/myself", Canned("rate-limited"), times=1)
        status, headers, _ = await talk(jira, get("/rest/api/2/myself", BASIC))
        assert (status, dict(headers)["Retry-After"]) == (429, "12")
        assert (await talk(jira, get("/rest/api/2/myself", BASIC)))[0] == 200


# -- misbehaviour


BYTES = "/rest/api/2/test/bytes/1000?plain=1"


@pytest.mark.parametrize("fault", [CloseAfterRequestHead(), CloseBeforeAnswer(), CloseBeforeAnswer(reset=True)])
async def test_it_can_close_without_an_answer(fault):
    async with FakeJira() as jira:
        jira.misbehave("/rest/", fault)
        assert await talk(jira, send("POST", "/rest/api/2/test/sink", {}), until_close=True) == b""
        assert (jira.requests[0].completed, jira.requests[0].answered) == (
            not isinstance(fault, CloseAfterRequestHead),
            False,
        )


async def test_it_can_cut_and_lie_and_send_raw_bytes():
    async with FakeJira() as jira:
        jira.misbehave("/rest/api/2/test/bytes", CutMidBody(10), times=1)
        cut = await talk(jira, get(BYTES), until_close=True)
        assert b"Content-Length: 1000\r\n" in cut
        assert len(cut.partition(b"\r\n\r\n")[2]) == 10
        jira.misbehave("/rest/api/2/test/bytes", LieAboutLength(7), times=1)
        lie = await talk(jira, get(BYTES), until_close=True)
        assert b"Content-Length: 7\r\n" in lie
        assert len(lie.partition(b"\r\n\r\n")[2]) == 1000
        jira.misbehave("/rest/api/2/test/bytes", RawAnswer(b"nonsense\r\n\r\n"), times=1)
        assert await talk(jira, get(BYTES), until_close=True) == b"nonsense\r\n\r\n"
        jira.misbehave("/rest/api/2/test/bytes", DripBody(400, 0.001), times=1)
        assert len((await talk(jira, get(BYTES)))[2]) == 1000


@pytest.mark.parametrize("fault", [Hang(), StallBody(5), Slow(60)])
async def test_a_client_that_leaves_is_noticed_at_once(fault):
    async with FakeJira() as jira:
        jira.misbehave("/rest/api/2/test/bytes", fault)
        _, writer = await asyncio.open_connection(jira.host, jira.port)
        writer.write(get(BYTES))
        await jira.wait_for(lambda j: j.active == 1)
        writer.close()
        await jira.wait_for(lambda j: j.active == 0, timeout=1)
        (record,) = jira.requests
        assert (record.completed, record.aborted, record.answered) == (True, True, False)
        assert record.aborted_at >= record.arrived
        await jira.wait_for(lambda j: j.open_connections == 0)


async def test_an_upload_that_is_broken_off_is_recorded_as_incomplete():
    async with FakeJira() as jira:
        _, writer = await asyncio.open_connection(jira.host, jira.port)
        writer.write(get("/rest/api/2/test/sink", "Content-Length: 100", method="POST") + b"x" * 40)
        await jira.wait_for(lambda j: j.requests and j.requests[0].body_size == 40)
        writer.close()
        await jira.wait_for(lambda j: j.active == 0)
        assert (jira.requests[0].completed, jira.requests[0].aborted) == (False, True)


async def test_connections_are_kept_pipelined_and_closed_when_idle():
    async with FakeJira(idle_timeout=0.2) as jira:
        reader, writer = await asyncio.open_connection(jira.host, jira.port)
        writer.write(get("/status") + get("/rest/api/2/serverInfo"))
        assert json.loads((await read_answer(reader))[2]) == {"state": "RUNNING"}
        assert json.loads((await read_answer(reader))[2])["version"] == "9.12.5"
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        assert {record.connection for record in jira.requests} == {1}
        writer.transport.abort()


async def test_it_speaks_tls(tmp_path):
    files = make_certificate(tmp_path)
    async with FakeJira(tls=server_context(files.cert, files.key)) as jira:
        assert jira.url.startswith("https://")
        trusting = client_context(files.ca)
        trusting.check_hostname = True
        reader, writer = await asyncio.open_connection(jira.host, jira.port, ssl=trusting)
        writer.write(get("/status"))
        assert (await read_answer(reader))[0] == 200
        writer.transport.abort()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(jira.host, jira.port, ssl=ssl.create_default_context())


# -- webhooks


class Listener:
    """A subscriber that keeps the raw requests it gets and answers 204."""

    def __init__(self):
        self.received = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc):
        self._server.close()

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
        body = await reader.readexactly(int(fields["Content-Length"]))
        self.received.append((head.decode().split(" ")[1], fields, body))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.mark.parametrize("profile", ["8.20", "10.3"])
async def test_webhooks_are_registered_filtered_and_delivered(profile):
    async with Listener() as listener, FakeJira(profile, base_url="https://jira.corp.example") as jira:
        body = {"name": "w", "url": listener.url + "/in?t=1", "events": ["jira:issue_created", "comment_created"]}
        if jira.profile.new_webhooks:
            body["configuration"] = {"SECRET": "s3", "FILTERS": "priority = High", "EXCLUDE_BODY": "false"}
        else:
            body["filters"] = {"issue-related-events-section": "priority = High"}
        status, headers, answer = await talk(jira, send("POST", jira.profile.webhook_path, body, ADMIN))
        view = json.loads(answer)
        assert status == 201
        if jira.profile.new_webhooks:
            assert view["id"] == 1
        else:
            assert view["self"] == dict(headers)["Location"] == "http://j/rest/webhooks/1.0/webhook/1"
            assert "id" not in view
        jira.add_issue("not this one", priority_id="4")
        wanted = jira.add_issue("this one", priority_id="2")
        await jira.wait_for(lambda _: listener.received)
        target, fields, payload = listener.received[0]
        event = json.loads(payload)
        assert (event["webhookEvent"], event["issue"]["key"]) == ("jira:issue_created", wanted.key)
        assert event["issue"]["self"].startswith("https://jira.corp.example/rest/")
        assert fields["Content-Type"] == "application/json; charset=UTF-8"
        if jira.profile.new_webhooks:
            assert target == "/in?t=1"
            assert fields["X-Hub-Signature"] == "sha256=" + hmac.new(b"s3", payload, hashlib.sha256).hexdigest()
        else:
            assert target == "/in?t=1&user_id=ines.ferro&user_key=JIRAUSER10207"
            assert "X-Hub-Signature" not in fields
        await jira.wait_for(lambda j: j.webhooks.deliveries[0].status == 204)
        assert len(jira.webhooks.deliveries) == 1


async def test_one_comment_is_two_events_and_the_small_one_has_no_issue():
    async with Listener() as listener, FakeJira() as jira:
        body = {"name": "w", "url": listener.url + "/", "events": ["jira:issue_updated", "comment_created"]}
        await talk(jira, send("POST", jira.profile.webhook_path, body, ADMIN))
        await talk(jira, send("POST", "/rest/api/2/issue/OPS-1/comment", {"body": "hi"}, BASIC))
        await jira.wait_for(lambda _: len(listener.received) == 2)
        events = {event["webhookEvent"]: event for event in (json.loads(item[2]) for item in listener.received)}
        assert events["comment_created"].keys() == {"timestamp", "webhookEvent", "comment"}
        assert events["jira:issue_updated"]["issue_event_type_name"] == "issue_commented"


async def test_names_of_other_versions_give_an_unfiltered_webhook():
    async with FakeJira() as jira:
        body = {
            "name": "w",
            "url": "http://127.0.0.1:1/",
            "events": ["jira:issue_created"],
            "jqlFilter": "project = OPS",
        }
        _, _, answer = await talk(jira, send("POST", jira.profile.webhook_path, body, ADMIN))
        assert json.loads(answer)["filters"] == {"issue-related-events-section": ""}
        jira.add_issue("to nobody")
        await jira.wait_for(lambda j: j.webhooks.deliveries[0].error is not None)


# -- as a process


def test_it_runs_as_a_process_and_takes_orders(tmp_path):
    files = make_certificate(tmp_path)
    trusting = client_context(files.ca)
    with JiraProcess("10.3", context="/jira", tls=files) as jira:
        with urllib.request.urlopen(jira.url + "/status", context=trusting) as answer:
            assert json.load(answer) == {"state": "RUNNING"}
        jira.misbehave("/status", Status(503, body="{}"), times=1)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(jira.url + "/status", context=trusting)
        refused.value.close()
        assert refused.value.code == 503
        assert [item["target"] for item in jira.requests("/status")] == ["/jira/status"]
        assert jira.call("add_issue", summary="x")["key"] == "OPS-61"
        jira.call("set", state="MAINTENANCE")
        assert jira.info()["crashes"] == []
        with pytest.raises(RuntimeError, match="KeyError"):
            jira.call("set", nonsense=1)
        jira.wait_for(lambda child: child.info()["open_connections"] == 0)


# -- a fixture sets it up in one task and takes it down in another


@pytest.fixture
async def running():
    async with FakeJira() as jira:
        yield jira


async def test_it_works_as_a_fixture(running):
    assert (await talk(running, get("/status")))[0] == 200
