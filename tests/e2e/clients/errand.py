"""What every client is sent to do, and what it brings back.

A client gets an `Errand` and returns a report, the same from all of them: a dict with

    me, projects            who it is at Jira, and the keys of the projects it sees
    key, self               of the issue that it created
    summary, assignee       as read back after editing and assigning
    before, after           the status's name before and after the transition
    comment                 {"body", "self"} as read back
    linked, watchers        keys of linked issues; names or account ids
    found                   keys of all pages of the search, or None where the client cannot search this Jira
    content, sha256         the attachment's link, and what came from there
    left                    attachments after deleting it
    gone                    whether Jira told the client, after deleting the issue, that there is none
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Report = dict[str, Any]

SUMMARY = "Büro: valve leaks"
EDITED = "Büro: valve leaks, again"
REMARK = "Siehe https://jira.corp.example/browse/OPS-1 — as before"
NEIGHBOUR = "OPS-7"
JQL = 'project = OPS AND summary ~ "Check" ORDER BY key ASC'
FOUND = 300
"""How many issues the search finds."""
PAGE = 100


@dataclass(frozen=True)
class Errand:
    """Where to go, as whom, and what to take along. Everything is JSON, for the clients that are no Python."""

    url: str
    token: str
    login: str
    """`basic` or `bearer`."""
    is_cloud: bool
    me: str
    """The account's identifier: a name on-premise, an account id on Cloud."""
    assignee: str
    """Likewise, of somebody else."""
    assignee_name: str
    """What finds them in a search for people."""
    file: str
    summary: str = SUMMARY
    edited: str = EDITED
    remark: str = REMARK
    neighbour: str = NEIGHBOUR
    jql: str = JQL
    page: int = PAGE

    @property
    def path(self) -> Path:
        """The file to upload."""
        return Path(self.file)
