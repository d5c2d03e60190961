"""Whether Jira accepts the JQL of a trigger, asked as the connection's account; and whose words a refusal has."""

from datetime import datetime, timedelta
from typing import Final

from gateway.errors import JIRA_PROTOCOL, Problem
from gateway.events.jira_client import JiraClient, JiraSilent, in_words
from jira_api.events.sweeping import search, updated_since
from jira_api.server_info import ServerInfo

_BAD: Final = 400
_OK: Final = 200
_RECENT: Final = timedelta(minutes=1)


async def objection_to(client: JiraClient, server: ServerInfo, jql: str, now: datetime) -> str | None:
    """Return what Jira says against a JQL, None when it accepts it; raises `JiraSilent`.

    It is asked as it stands (on Cloud, which takes no search without a bound, with a bound behind it), and as a sweep
    will ask: what reads well alone may not inside of parentheses, and the other way round.
    """
    bounded = updated_since(jql, now - _RECENT, None, now)
    for text in (_without_parentheses(bounded) if server.is_cloud else jql, bounded):
        answer = await client.send_as_account(search(server, text, page=1))
        if answer.status == _BAD:
            return in_words(answer)
        if answer.status != _OK:
            raise JiraSilent(Problem(JIRA_PROTOCOL, f"the search for {jql!r} failed: {in_words(answer)}"))
    return None


def _without_parentheses(bounded: str) -> str:
    """Return `a AND updated …` for `(a) AND updated …`."""
    wanted, bound, rest = bounded.rpartition(") AND updated")
    return f"{wanted.removeprefix('(')}{bound.removeprefix(')')}{rest}"
