"""Which Jira the demo talks to: a stand-in that it starts, or the real one that the environment names.

    JIRA_URL                        base URL with its context path; without it the stand-in is used
    JIRA_USERNAME, JIRA_PASSWORD    the login that the agent puts on requests
    JIRA_TOKEN                      a personal access token instead (Jira Cloud: an API token, with JIRA_USERNAME)
    JIRA_PROJECT                    key of a project that may be written to; without it nothing is written
    JIRA_CA_FILE                    CA bundle of Jira's certificate, when the system does not know it

The secrets are taken out of this process's environment, and only the agent gets them.
"""

import contextlib
import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.demo_account import StepFailed
from tests.support.fake_jira import JiraProcess, make_certificate

VARIABLES = ("JIRA_URL", "JIRA_USERNAME", "JIRA_PASSWORD", "JIRA_TOKEN", "JIRA_PROJECT", "JIRA_CA_FILE")
STAND_IN_BASE_URL = "https://jira.corp.example/jira"
_PROJECT_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,254}")


@dataclass(frozen=True, slots=True)
class Target:
    """A Jira: its address, the agent's settings for it (with its login), and what may be done there."""

    url: str
    description: str
    login: dict[str, str]
    project: str | None
    stand_in: JiraProcess | None = None

    @property
    def policy_profile(self) -> str:
        """The least that the demo needs of the agent's policy."""
        return "issues" if self.project else "read-only"


def real_jira(environ: MutableMapping[str, str]) -> Target | None:
    """Take the JIRA_* variables out of `environ`; None when no real Jira is named. Raises StepFailed."""
    given = {name: environ.pop(name, "").strip() for name in VARIABLES}
    url, project = given["JIRA_URL"].rstrip("/"), given["JIRA_PROJECT"]
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StepFailed("JIRA_URL is not an http(s) address", "write it like https://jira.corp.local:8443/jira")
    if project and not _PROJECT_KEY.fullmatch(project):
        raise StepFailed("JIRA_PROJECT is not a project key", "write the key alone, in capitals, like OPS")
    login = _login(given, parts.hostname)
    if given["JIRA_CA_FILE"]:
        login["JIRA_AGENT_JIRA_CA_FILE"] = str(Path(given["JIRA_CA_FILE"]).absolute())
    rights = (
        f"writing to project {project} and cleaning up" if project else "read-only; JIRA_PROJECT would allow writes"
    )
    return Target(url, f"{url} ({rights})", login, project or None)


def _login(given: dict[str, str], host: str) -> dict[str, str]:
    username, password, token = given["JIRA_USERNAME"], given["JIRA_PASSWORD"], given["JIRA_TOKEN"]
    if token and username and host.endswith(".atlassian.net"):  # Cloud takes API tokens as passwords only
        password, token = token, ""
    if token:
        return {"JIRA_AGENT_JIRA_TOKEN": token}
    if username and password:
        return {"JIRA_AGENT_JIRA_USERNAME": username, "JIRA_AGENT_JIRA_PASSWORD": password}
    raise StepFailed(
        "JIRA_URL is set, but no login is", "set JIRA_USERNAME and JIRA_PASSWORD, or JIRA_TOKEN; or unset JIRA_URL"
    )


@contextlib.contextmanager
def stand_in(folder: Path) -> Iterator[Target]:
    """Start the stand-in with TLS and a context path; it believes to be at another address, as most Jiras do."""
    tls = make_certificate(folder)
    login = {
        "JIRA_AGENT_JIRA_USERNAME": "svc.bridge",
        "JIRA_AGENT_JIRA_PASSWORD": "password-of-svc.bridge",
        "JIRA_AGENT_JIRA_CA_FILE": str(tls.ca),
    }
    with JiraProcess("9.12", context="/jira", base_url=STAND_IN_BASE_URL, tls=tls) as jira:
        yield Target(jira.url, f"a stand-in for Jira 9.12 at {jira.url}", login, "OPS", jira)
