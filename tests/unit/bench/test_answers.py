"""What the stand-in answers is what the measurements say it is."""

import json

import pytest

from bench import answers
from jira_api.links import LinkRewriter

BASE = "http://127.0.0.1:27001"
CALLERS_URL = b"https://gateway.example.com/jira/hq"


def test_the_small_answer_is_json_of_4_kib():
    assert len(answers.small()) == 4096
    assert json.loads(answers.small())["key"] == "OPS-42"


def test_the_search_answer_is_json_of_120_kib_with_many_issues():
    body = answers.search(BASE)
    assert len(body) == 120 * 1024
    issues = json.loads(body)["issues"]
    assert len(issues) > 20
    assert len({issue["key"] for issue in issues}) == len(issues)


@pytest.mark.parametrize("base", [BASE, "https://jira.corp.example:8443/jira"])
def test_every_link_of_the_search_answer_is_one_that_the_gateway_rewrites(base):
    body = answers.search(base)
    links = body.count(base.encode())
    stream = LinkRewriter([base.encode()], CALLERS_URL).stream(b"", "/rest/api/2/search")
    rewritten = stream.feed(body) + stream.finish()
    assert links > 500
    assert rewritten.count(CALLERS_URL) == links
    assert base.encode() not in rewritten
    assert rewritten.count(b"https://wiki.corp.example") == body.count(b"https://wiki.corp.example") > 0


def test_a_file_of_zeros_has_its_size(tmp_path):
    path = answers.zeros(tmp_path / "body", 3_000_000)
    assert path.stat().st_size == 3_000_000
