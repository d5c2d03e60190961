"""The webhooks of one Jira as the registrar works on them: list, make, change, delete; and what a refusal means.

Jira refuses whoever is no administrator, an agent's policy whatever it does not allow: both are `Refused`, and the
webhook is then made by hand. Anything else that is no success is a `JiraSilent`, to be tried again.
"""

from collections.abc import Sequence
from typing import Final

from gateway.errors import JIRA_PROTOCOL, POLICY_DENIED, Problem
from gateway.events.jira_client import JiraAnswer, JiraClient, JiraSilent, in_words
from jira_api.events.requesting import JiraRequest, get
from jira_api.server_info import ServerInfo
from jira_api.webhook_api import InvalidWebhook, SeenWebhook, WantedWebhook, api_of

_MYSELF: Final = get("/rest/api/2/myself")
_REFUSALS: Final = frozenset({301, 302, 303, 307, 401, 403, 404})
_GONE: Final = 404
_NOT_TAKEN: Final = frozenset({400, 409})


class Refused(Exception):
    """The account, or the agent's policy, may not do this; `reason` is one clause for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotTaken(Exception):
    """Jira does not take this webhook; `reason` is what it says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WebhooksInJira:
    """The webhooks of one Jira, by the API that it has."""

    def __init__(self, client: JiraClient, server: ServerInfo) -> None:
        self._client = client
        self._api = api_of(server)

    def __repr__(self) -> str:
        return f"<WebhooksInJira {self._client.entry.name} {self._api.path}>"

    @property
    def signs(self) -> bool:
        """Whether webhooks are signed with their secret."""
        return self._api.signs

    async def list(self) -> Sequence[SeenWebhook]:
        """Return all webhooks; raises `Refused`, `JiraSilent`."""
        answer = await self._send(self._api.list_request())
        if answer.status in _REFUSALS:
            await self._client.send_as_account(_MYSELF)  # a login that does not work is another problem
        _check(answer)
        try:
            return self._api.read_list(answer.body)
        except InvalidWebhook as invalid:
            reason = f"Jira's list of webhooks cannot be read: {invalid.reason}"
            raise JiraSilent(Problem(JIRA_PROTOCOL, reason)) from None

    async def create(self, wanted: WantedWebhook) -> None:
        """Register a webhook; raises `Refused`, `NotTaken`, `JiraSilent`."""
        _check(await self._send(self._api.create_request(wanted)))

    async def update(self, seen: SeenWebhook, wanted: WantedWebhook) -> None:
        """Make a webhook what is wanted; raises as `create`."""
        answer = await self._send(self._api.update_request(seen.remote_id, wanted))
        if answer.status == _GONE:  # the list had it a moment ago
            raise JiraSilent(Problem(JIRA_PROTOCOL, "The webhook was deleted while it was compared."))
        _check(answer)

    async def delete(self, seen: SeenWebhook) -> None:
        """Delete a webhook; one that is gone already is fine. Raises as `create`."""
        answer = await self._send(self._api.delete_request(seen.remote_id))
        if answer.status != _GONE:
            _check(answer)

    async def _send(self, request: JiraRequest) -> JiraAnswer:
        try:
            return await self._client.send(request)
        except JiraSilent as silent:
            if silent.problem.slug is POLICY_DENIED:
                raise Refused(silent.problem.message.strip().rstrip(".")) from None
            raise


def _check(answer: JiraAnswer) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status in _REFUSALS:
        raise Refused(f"Jira answered {answer.status}; only its administrators may see and change webhooks")
    said = in_words(answer)
    if answer.status in _NOT_TAKEN:
        raise NotTaken(said)
    raise JiraSilent(Problem(JIRA_PROTOCOL, said))
