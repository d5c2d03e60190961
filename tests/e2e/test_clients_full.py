"""Unchanged clients do everything an integration does: only base URL and credentials differ.

Five clients, four versions of Jira behind agents and Jira Cloud directly, each by path and by host address. What a
client is told is docs/clients.md; what it does is clients/errand.py and the module or script named after it.
"""

import dataclasses
import hashlib
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.clients import atlassian_api, curl, documented, pycontribs
from tests.e2e.clients.errand import EDITED, FOUND, NEIGHBOUR, REMARK, Errand, Report
from tests.e2e.clients.place import CLOUD, CONTEXTS, GATEWAY_SETTINGS, a_place
from tests.support.fake_jira import JiraProcess, pattern_bytes
from tests.support.npm import require_packages, run_script
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "clients"
DATA = pattern_bytes(300_000, start=11)


def node(script: str) -> Callable[[Errand], Report]:
    """A client that is a node script."""

    def run(errand: Errand) -> Report:
        require_packages(SCRIPTS)
        return run_script(SCRIPTS / script, dataclasses.asdict(errand), preload=SCRIPTS / "localhost_names.cjs")

    return run


CLIENTS: dict[str, Callable[[Errand], Report]] = {
    "atlassian-python-api": atlassian_api.run,
    "jira": pycontribs.run,
    "curl": curl.run,
    "jira.js": node("jira_js.mjs"),
    "jira-client": node("jira_client.mjs"),
}
CANNOT_SEARCH = {("jira-client", CLOUD)}
"""Gateway or not: its search calls what Cloud has removed (docs/clients.md)."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("clients"), "", settings=GATEWAY_SETTINGS) as stack:
        yield stack.start_gateway()


@pytest.fixture(scope="module", params=CONTEXTS)
def place(request, gateway):
    with a_place(gateway, request.param) as place:
        yield place


@pytest.fixture(autouse=True)
def localhost_names(monkeypatch):
    """Resolve *.localhost to loopback as browsers and curl do; not every libc does."""
    resolve = socket.getaddrinfo

    def patched(host, *arguments, **options):
        is_local = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if is_local else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", patched)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "Prüfbericht №3 (final).bin"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(("address", "login"), [("path", "basic"), ("host", "bearer")])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_unchanged_client_does_everything(place, client, address, login, file):
    if client == "curl":
        need_curl()
    base = place.url(address)
    place.jira.call("clear")
    errand = Errand(
        url=base,
        token=place.token,
        login=login,
        is_cloud=place.is_cloud,
        me=place.account("svc.bridge", 10412),
        assignee=place.account("omar.haddad", 10208),
        assignee_name="omar.haddad",
        file=str(file),
    )
    report = CLIENTS[client](errand)

    assert report["me"] == errand.me
    assert report["projects"] == ["OPS"]
    assert report["self"].startswith(f"{base}/rest/api/2/issue/")
    assert (report["summary"], report["assignee"]) == (EDITED, errand.assignee)
    assert report["before"] != report["after"]
    assert report["comment"]["body"] == REMARK  # people's text is never rewritten
    assert report["comment"]["self"].startswith(base)
    assert (report["linked"], report["watchers"]) == ([NEIGHBOUR], [errand.me])
    content = "/rest/api/2/attachment/content/" if place.is_cloud else "/secure/attachment/"
    assert report["content"].startswith(base + content)
    assert report["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (report["left"], report["gone"]) == (0, True)
    if (client, place.version) in CANNOT_SEARCH:
        assert report["found"] is None
    else:
        assert len(set(report["found"])) == len(report["found"]) == FOUND
        assert sum("/search" in request["target"] for request in place.jira.requests()) >= 3
    check_what_jira_saw(place)


def check_what_jira_saw(place):
    """Its own login and never the gateway's token; and the host of Cloud's media no login at all."""
    requests = place.jira.requests()
    media = [request for request in requests if request["target"].startswith("/media/")]
    assert all(place.token not in request["raw_head"] for request in requests)
    assert all(request["user"] == "svc.bridge" for request in requests if request not in media)
    assert len(media) == (1 if place.is_cloud else 0)
    for request in media:
        headers = {name.lower(): value for name, value in request["headers"]}
        assert "authorization" not in headers
        assert headers["host"] == f"localhost:{place.jira.port}"


def need_curl():
    if shutil.which("curl") is None:
        pytest.skip("needs curl: it was not tried")


@pytest.mark.parametrize("address", ["path", "host"])
@pytest.mark.parametrize("language", ["sh", "python", "js"])
def test_every_documented_line_configures_its_client(place, address, language):
    connection = "cloud" if place.is_cloud else "hq"
    me = place.account("svc.bridge", 10412)
    count = check_documented(connection, language, place.url(address), {"TOKEN": place.token}, me)
    assert count > 0 or (connection, language) == ("cloud", "sh")  # where curl needs no other line


@pytest.fixture(scope="module")
def own_login(gateway):
    """The token of a connection on which Jira sees the caller's own login."""
    with JiraProcess("9.12", context="/jira") as jira:
        flags = ("--base-url", jira.url)
        yield gateway.connect("own", via="direct", credentials="caller", flags=flags)


@pytest.mark.parametrize("language", ["sh", "python", "js"])
def test_every_documented_line_with_the_callers_own_login_works(gateway, own_login, language):
    environment = {"LOGIN": "ines.ferro", "PASSWORD": "password-of-ines.ferro", "TOKEN": own_login}
    assert check_documented("own", language, f"{gateway.url}/jira/own", environment, "ines.ferro") > 0


def check_documented(connection, language, url, environment, me):
    """Each block prints the account (curl: its JSON); return how many there were."""
    if language == "js":
        require_packages(SCRIPTS)
    if language == "sh":
        need_curl()
    blocks = [text for kind, text in documented.blocks(connection) if kind == language]
    for text in blocks:
        printed = documented.run(language, text, connection, url, environment)
        assert (json.loads(printed)["name"] if language == "sh" else printed.strip()) == me
    return len(blocks)
