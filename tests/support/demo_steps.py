"""What the demo's caller does: the unchanged PyPI client `jira`, pointed at the gateway instead of Jira.

Only the address and the login differ from what its user wrote before. Nothing here knows how the request travels.
"""

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Iterator
from typing import Any

import requests
from jira import JIRA, Issue, JIRAError

from tests.support.demo_account import Account, Step, StepFailed
from tests.support.demo_jira import Target

ATTACHMENT_BYTES = 5 * 1024 * 1024
REFUSED_PATH = "/rest/plugins/1.0/"
SUMMARY = "jira-tunnel demo: this issue may be deleted"
INDEX_SECONDS = 15.0
REQUEST_SECONDS = 60

_OURS = {
    "agent_offline": "the agent lost its links: look at its log lines below",
    "jira_unreachable": "check that JIRA_URL can be reached from this machine",
    "jira_tls": "name the CA of Jira's certificate with JIRA_CA_FILE",
    "jira_timeout": "try again; Jira took longer than the connection's timeout of 60 s",
    "policy_denied": "this is a defect of the demo or its policy profile: please report it",
}
_JIRAS = {
    400: "the user may lack the right, or the project may demand more fields: name another one with JIRA_PROJECT",
    401: "check JIRA_USERNAME and JIRA_PASSWORD, or JIRA_TOKEN, with one login in a browser (it may ask for a CAPTCHA)",
    403: "this user lacks the right: give it, or name another project with JIRA_PROJECT",
    404: "check that JIRA_PROJECT exists and that this user can see it",
    413: "raise Jira's attachment limit above 5 MB",
}


class Caller:
    """The demo's caller: base URL of the connection and a gateway token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        with told_plainly():
            self.client = JIRA(server=url, token_auth=token, timeout=REQUEST_SECONDS, max_retries=1)

    def get(self, path: str) -> requests.Response:
        """Send a plain request, for what the client has no method for."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return requests.get(self.url + path, headers=headers, timeout=REQUEST_SECONDS)

    def close(self) -> None:
        """Let its sockets go."""
        self.client.close()


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what a client raises into a reason and an advice."""
    try:
        yield
    except JIRAError as error:
        headers = getattr(error.response, "headers", {})
        slug = headers.get("Tunnel-Error", "")
        said = " ".join((error.text or "").split())[:300]
        why = f"{'the tunnel' if slug else 'Jira'} answered {error.status_code} {slug}".rstrip() + f": {said}"
        advice = _OURS.get(slug) if slug else _JIRAS.get(error.status_code or 0)
        raise StepFailed(why, advice or "look at the log lines below, and at Jira's own log") from error
    except requests.RequestException as error:
        raise StepFailed(f"the gateway did not answer: {error}", "look at the log lines below") from error


def read(account: Account, caller: Caller, target: Target) -> None:
    """Ask Jira who it is and who we are, and search."""
    with account.step("Ask Jira for its version and our account") as step, told_plainly():
        info, me = caller.client.server_info(), caller.client.myself()
        step.say(f"Jira {info['version']}; we are {me['displayName']} ({me.get('name') or me.get('accountId')})")
        step.say(f"its links now lead through the gateway: {me['self']}")
        if not str(me["self"]).startswith(caller.url):
            raise StepFailed(f"the link {me['self']} was not rewritten", "please report this with Jira's version")
    with account.step("Search for issues") as step, told_plainly():
        where = f'project = "{target.project}"' if target.project else "created >= -365d"
        found = caller.client.search_issues(f"{where} ORDER BY created DESC", maxResults=3, fields="summary,status")
        for issue in found:
            step.say(f"{issue.key:<8} {issue.fields.status.name:<12} {issue.fields.summary[:60]}")
        if not found:
            step.say("nothing found, which is an answer, too")


def write(account: Account, caller: Caller, target: Target) -> str:
    """Create an issue and do everything to it that the demo promises; return its key. A real Jira is cleaned up."""
    issue = _create(account, caller.client, target)
    try:
        _comment(account, caller.client, issue)
        _find(account, caller.client, issue)
        _transition(account, caller.client, issue)
        _attach(account, caller.client, issue)
    finally:
        if target.stand_in is None:
            with account.step(f"Clean up: delete {issue.key}"):
                _delete(issue)
    return str(issue.key)


def refuse(account: Account, caller: Caller, target: Target) -> None:
    """Ask for something that the agent's policy never lets through, and show the answer."""
    with account.step(f"Ask for GET {REFUSED_PATH}, which the policy refuses") as step, told_plainly():
        answer = caller.get(REFUSED_PATH)
        slug = answer.headers.get("Tunnel-Error")
        if (answer.status_code, slug) != (403, "policy_denied"):
            raise StepFailed(
                f"the answer was {answer.status_code} {slug}, not 403 policy_denied", "please report this as a defect"
            )
        step.say(f"{answer.status_code} {answer.reason}, Tunnel-Error: {slug}, Tunnel-Source: agent")
        step.say(answer.text)
        if target.stand_in is not None:
            arrived = [row for row in target.stand_in.requests() if "/rest/plugins" in str(row)]
            if arrived:
                raise StepFailed("the request reached Jira although it was refused", "please report this as a defect")
            step.say("Jira's record of requests shows none of it")


def _create(account: Account, client: JIRA, target: Target) -> Issue:
    with account.step("Create an issue") as step, told_plainly():
        fields = {"project": {"key": target.project}, "issuetype": {"id": _issue_type(client, target)}}
        issue = client.create_issue(fields={**fields, "summary": SUMMARY})
        step.say(f"{issue.key}: {issue.fields.summary}")
        return issue


def _issue_type(client: JIRA, target: Target) -> str:
    """The id of Task where there is one, else of any type that is no sub-task."""
    types = [kind for kind in client.project(str(target.project)).issueTypes if not kind.subtask]
    if not types:
        raise StepFailed(f"project {target.project} has no issue type", "name another one with JIRA_PROJECT")
    return str(next((kind for kind in types if kind.name == "Task"), types[0]).id)


def _comment(account: Account, client: JIRA, issue: Issue) -> None:
    with account.step("Comment on it, and read the comment back") as step, told_plainly():
        text = "Written through the tunnel, with an umlaut: ü."
        comment = client.add_comment(issue.key, text)
        read_back = client.comment(issue.key, comment.id).body
        if read_back != text:
            raise StepFailed(f"the comment came back as {read_back!r}", "please report this as a defect")
        step.say(read_back)


def _find(account: Account, client: JIRA, issue: Issue) -> None:
    with account.step("Search until Jira has indexed it") as step, told_plainly():
        query = f'project = "{issue.key.rpartition("-")[0]}" AND created >= -1d ORDER BY created DESC'
        deadline = time.monotonic() + INDEX_SECONDS
        while issue.key not in [found.key for found in client.search_issues(query, maxResults=20, fields="summary")]:
            if time.monotonic() > deadline:
                raise StepFailed(f"{issue.key} was not found within {INDEX_SECONDS:g} s", "check Jira's search index")
            time.sleep(0.5)
        step.say(query)


def _transition(account: Account, client: JIRA, issue: Issue) -> None:
    with account.step("Move it to another status") as step, told_plainly():
        offered: list[dict[str, Any]] = client.transitions(issue.key)
        if not offered:
            step.skip("Jira offers this user no transition here")
            return
        client.transition_issue(issue.key, offered[0]["id"])
        step.say(f"{offered[0]['name']}: now {client.issue(issue.key, fields='status').fields.status.name}")


def _attach(account: Account, client: JIRA, issue: Issue) -> None:
    content = os.urandom(ATTACHMENT_BYTES)
    with account.step("Upload an attachment of 5 MB") as step, told_plainly():
        began = time.monotonic()
        attachment = client.add_attachment(issue.key, io.BytesIO(content), "jira-tunnel-demo.bin")
        _say_speed(step, began)
    with account.step("Download it again, and compare every byte") as step, told_plainly():
        began = time.monotonic()
        downloaded = client.attachment(attachment.id).get()
        _say_speed(step, began)
        sent, received = (hashlib.sha256(data).hexdigest() for data in (content, downloaded))
        if sent != received:
            raise StepFailed(f"{len(downloaded)} bytes came back, and they differ", "please report this as a defect")
        step.say(f"equal: SHA-256 {sent}")


def _say_speed(step: Step, began: float) -> None:
    seconds = max(time.monotonic() - began, 1e-6)
    step.say(f"{ATTACHMENT_BYTES:,} bytes, {ATTACHMENT_BYTES / seconds / 1e6:.0f} MB/s with Jira's own time")


def _delete(issue: Issue) -> None:
    try:
        with told_plainly():
            issue.delete()
    except StepFailed as failed:
        raise StepFailed(failed.why, f"delete {issue.key} by hand, or give this user the right to delete") from failed
