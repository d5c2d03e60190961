"""The whole way of requests in one process, without sockets: what they leave behind."""

import gc

import pytest

from tests.support.sockets_apart import TOKEN, Way

FIELDS = b"Host: a\r\nAuthorization: Bearer " + TOKEN + b"\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\n{}"

REQUESTS = {
    "GET": b"GET /jira/hq/rest/api/2/issue/A-1 HTTP/1.1\r\n" + FIELDS + b"\r\n",
    "POST": b"POST /jira/hq/rest/api/2/issue HTTP/1.1\r\n" + FIELDS + b"Content-Length: 2\r\n\r\n{}",
    "chunked": b"POST /jira/hq/rest/api/2/issue HTTP/1.1\r\n"
    + FIELDS
    + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "refused by the policy": b"GET /jira/hq/secure/admin HTTP/1.1\r\n" + FIELDS + b"\r\n",
    "refused at the door": b"GET /jira/hq/x HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_requests_leave_nothing_for_the_collector(tmp_path, name):
    way = Way(tmp_path, callers=2)
    await way.carry(REQUESTS[name], ANSWER)  # what is made once
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            answers = await way.carry(REQUESTS[name], ANSWER)
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert all(answer.startswith(b"HTTP/1.1 ") for answer in answers)
    assert not way.gateway.session.streams
    assert not way.agent.session.streams


async def test_an_answer_is_as_it_was_whoever_asked_before(tmp_path):
    way = Way(tmp_path, callers=2)
    first = await way.carry(REQUESTS["GET"], ANSWER)
    again = await way.carry(REQUESTS["GET"].replace(b"A-1", b"A-2"), ANSWER)
    stranger = await way.carry(REQUESTS["GET"].replace(TOKEN, TOKEN[:-1] + b"b"), ANSWER)
    assert all(b" 200 OK\r\n" in answer for answer in first + again)
    assert all(b" 401 " in answer for answer in stranger)
