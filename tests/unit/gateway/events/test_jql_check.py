"""How a JQL is checked: as it stands and inside of the query of a sweep."""

import json
from datetime import UTC, datetime

import pytest

from gateway.events.jira_client import JiraAnswer, JiraSilent
from gateway.events.jql_check import objection_to
from jira_api.server_info import ServerInfo

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SERVER = ServerInfo("https://jira", "9.12.5", (9, 12, 5), "Server", "Jira")
CLOUD = ServerInfo("https://jira", "1001", (1001, 0, 0), "Cloud", "Jira")


class Client:
    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def send_as_account(self, request):
        self.asked.append(json.loads(request.body)["jql"].partition(" updated >=")[0])
        return self.answers.pop(0)


GOOD = JiraAnswer(200, [], b"{}")
BAD = JiraAnswer(400, [], b'{"errorMessages":["No."]}')


@pytest.mark.parametrize(
    ("server", "asked"),
    [
        (SERVER, ["a = 1 ORDER BY b", "(a = 1) AND"]),
        (CLOUD, ["a = 1 AND", "(a = 1) AND"]),
    ],
)
async def test_it_is_asked_in_both_forms(server, asked):
    client = Client(GOOD, GOOD)
    assert await objection_to(client, server, "a = 1 ORDER BY b", NOW) is None
    assert client.asked == asked


async def test_jiras_words_are_the_objection():
    assert await objection_to(Client(BAD), SERVER, "a", NOW) == "No."
    assert await objection_to(Client(GOOD, BAD), SERVER, "a", NOW) == "No."


async def test_any_other_answer_is_none():
    with pytest.raises(JiraSilent):
        await objection_to(Client(JiraAnswer(503)), SERVER, "a", NOW)
