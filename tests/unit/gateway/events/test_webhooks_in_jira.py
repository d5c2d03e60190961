"""What Jira's answers about webhooks mean: refused, not taken, or to be asked again."""

import pytest

from gateway.errors import AGENT_OFFLINE, JIRA_LOGIN_REJECTED, POLICY_DENIED, Problem
from gateway.events.jira_client import JiraAnswer, JiraSilent
from gateway.events.webhooks_in_jira import NotTaken, Refused, WebhooksInJira
from jira_api.server_info import ServerInfo
from jira_api.webhook_api import SeenWebhook, WantedWebhook

SERVER = ServerInfo("https://jira", "9.12.5", (9, 12, 5), "Server", "Jira")
WANTED = WantedWebhook("n", "https://gw/hooks/x", frozenset({"comment_created"}), None, None)
SEEN = SeenWebhook("7", "n", "https://gw/hooks/x", frozenset(), None, True, False)


class Client:
    """Gives one answer, or raises it; `login` is raised when the account itself is asked for."""

    def __init__(self, answer, login=None):
        self.answer, self.login, self.asked = answer, login, []

    async def send(self, request):
        self.asked.append((request.method, request.target))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def send_as_account(self, request):
        self.asked.append("myself")
        if self.login is not None:
            raise self.login
        return JiraAnswer(200)


def webhooks(answer, login=None):
    client = Client(answer, login)
    return WebhooksInJira(client, SERVER), client


CALLS = {
    "list": lambda made: made.list(),
    "create": lambda made: made.create(WANTED),
    "update": lambda made: made.update(SEEN, WANTED),
    "delete": lambda made: made.delete(SEEN),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (JiraAnswer(401), Refused),
        (JiraAnswer(403), Refused),
        (JiraAnswer(302), Refused),
        (JiraSilent(Problem(POLICY_DENIED, "the policy of this agent")), Refused),
        (JiraSilent(Problem(AGENT_OFFLINE, "away")), JiraSilent),
        (JiraAnswer(500), JiraSilent),
        (JiraAnswer(400, [], b'{"message":"bad"}'), NotTaken),
        (JiraAnswer(409), NotTaken),
    ],
)
async def test_an_answer_that_is_no_success_says_what_to_do(call, answer, outcome):
    with pytest.raises(outcome):
        await CALLS[call](webhooks(answer)[0])


async def test_success_is_success():
    made, client = webhooks(JiraAnswer(200, [], b"[]"))
    assert list(await made.list()) == []
    for call in ("create", "update", "delete"):
        await CALLS[call](made)
    assert [method for method, _ in client.asked] == [b"GET", b"POST", b"PUT", b"DELETE"]


async def test_one_that_is_gone_is_deleted_and_cannot_be_changed():
    made, _ = webhooks(JiraAnswer(404))
    await made.delete(SEEN)
    with pytest.raises(JiraSilent):
        await made.update(SEEN, WANTED)
    with pytest.raises(Refused):
        await made.create(WANTED)


async def test_a_login_that_does_not_work_is_no_refusal_of_webhooks():
    login = JiraSilent(Problem(JIRA_LOGIN_REJECTED, "no"))
    made, _ = webhooks(JiraAnswer(401), login)
    with pytest.raises(JiraSilent) as silent:
        await made.list()
    assert silent.value.is_login_rejected


async def test_a_list_that_is_none_is_asked_for_again():
    with pytest.raises(JiraSilent):
        await webhooks(JiraAnswer(200, [], b"<html>"))[0].list()
