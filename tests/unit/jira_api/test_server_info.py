"""serverInfo, as Jiras and what stands in front of them answer it."""

import json

import pytest

from jira_api.server_info import InvalidServerInfo, ServerInfo, parse_server_info


def test_a_data_center_answer_is_read():
    body = json.dumps({
        "baseUrl": "https://jira.corp.example/jira/", "version": "10.3.19", "versionNumbers": [10, 3, 19],
        "deploymentType": "Server", "serverTitle": "Corp Jira", "scmInfo": "x",
    })  # fmt: skip
    info = parse_server_info(body.encode())
    assert info == ServerInfo("https://jira.corp.example/jira", "10.3.19", (10, 3, 19), "Server", "Corp Jira")
    assert not info.is_cloud


def test_cloud_is_told_apart():
    body = b'{"baseUrl":"https://x.atlassian.net","version":"1001.0.0-SNAPSHOT","deploymentType":"Cloud"}'
    info = parse_server_info(body)
    assert info.is_cloud
    assert info.version_numbers == (1001, 0, 0)


@pytest.mark.parametrize("numbers", ["[]", "null", '"9"', '[9,"x"]', "[true,1]"])
def test_unusable_version_numbers_come_from_the_version_text(numbers):
    info = parse_server_info(b'{"baseUrl":"http://j","version":"9.12.5","versionNumbers":%s}' % numbers.encode())
    assert info.version_numbers == (9, 12, 5)


@pytest.mark.parametrize("version", ['""', "null", '"x.y"', '"9..1"', '"' + "9" * 5000 + '"'])
def test_an_unknown_version_is_empty(version):
    assert parse_server_info(b'{"baseUrl":"http://j","version":%s}' % version.encode()).version_numbers == ()


@pytest.mark.parametrize("text", [r"\ud800", r"\u001b[31m", r"a\nb", "9" * 1025])
def test_a_text_that_is_no_line_of_text_is_left_out(text):
    info = parse_server_info(b'{"baseUrl":"http://j","version":"%b","serverTitle":"%b"}' % ((text.encode(),) * 2))
    assert (info.version, info.title) == ("", "")
    with pytest.raises(InvalidServerInfo):
        parse_server_info(b'{"baseUrl":"http://j/%b"}' % text.encode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"<html>", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"[" * 60_000, "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b"{}", "it names no usable baseUrl"),
        (b'{"baseUrl":7}', "it names no usable baseUrl"),
        (b'{"baseUrl":"/jira"}', "it names no usable baseUrl"),
        (b'{"baseUrl":"https://j\\u00e9"}', "it names no usable baseUrl"),
        (b'{"x":"' + b"x" * 70_000 + b'"}', "it is larger than 65536 bytes"),
    ],
)
def test_anything_else_is_refused_with_a_reason(body, reason):
    with pytest.raises(InvalidServerInfo) as refusal:
        parse_server_info(body)
    assert refusal.value.reason == reason
