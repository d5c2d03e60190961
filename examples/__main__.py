"""`make example`: the ticket list of another system in step with Jira, with everything on this machine.

Starts a stand-in Jira that can only reach the agent, an agent, a gateway, the helpdesk and the subscriber between them,
then works in both systems and shows that each follows the other. Exit status 0: everything came about.
"""

import argparse
import json
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.demo_account import Account, StepFailed
from tests.support.fake_jira import JiraProcess
from tests.support.ports import free_port
from tests.support.stack import Agent, Program, Stack, wait_until

EVENTS = "jira:issue_created,jira:issue_updated,jira:issue_deleted,comment_created"
ADMINISTRATOR = {"JIRA_AGENT_JIRA_USERNAME": "admin", "JIRA_AGENT_JIRA_PASSWORD": "password-of-admin"}
SECONDS = 15.0


class Example:
    """Everything that runs, and what happens between it."""

    def __init__(self, account: Account, folder: Path, ending: ExitStack) -> None:
        self._account = account
        self._ending = ending
        self.jira = ending.enter_context(JiraProcess("9.12", context="/jira"))
        settings = {"JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.0/8"}  # the subscriber is on this machine, without TLS
        self.stack = ending.enter_context(Stack(folder, self.jira.url, settings=settings))
        self._ports = {"helpdesk": free_port(), "sync": free_port()}
        self.helpdesk = f"http://127.0.0.1:{self._ports['helpdesk']}"
        self.sync = f"http://127.0.0.1:{self._ports['sync']}"

    def start(self) -> None:
        """Start gateway and agent, subscribe, and start the two systems."""
        with self._account.step("Start a gateway, and an agent beside a Jira that cannot reach the gateway") as step:
            self.stack.start_gateway()
            self._agent().start_and_wait()
            token = self.stack.connect("hq", via="headquarters")
            step.say("the agent receives Jira's webhooks in its own network, and may register them there")
        with self._account.step("Subscribe: jira-gateway triggers add --connection hq --name tickets …") as step:
            made = self._subscribe()
            step.say(f"{made['kind']}: {self.jira.call('webhooks')[0]['name']}")
        with self._account.step("Start the helpdesk, and the subscriber between the two"):
            self._run("helpdesk", NOTES_URL=f"{self.sync}/helpdesk-notes")
            jira = {"JIRA_URL": f"{self.stack.url}/jira/hq", "GATEWAY_TOKEN": token, "TRIGGER_SECRET": made["secret"]}
            self._run("ticket_sync", HELPDESK_URL=self.helpdesk, **jira)
            wait_until(lambda: _answers(self.helpdesk) and _answers(self.sync), "both answer", SECONDS)

    def work(self) -> None:
        """Work in Jira, look at the helpdesk; work in the helpdesk, look at Jira."""
        with self._account.step("Somebody creates an issue in Jira, comments and closes it") as step:
            key = self.jira.call("add_issue", summary="The printer on floor 3 is on fire")["key"]
            self.jira.call("add_comment", issue=key, body="Bring water.", user="omar.haddad")
            self.jira.call("transition_issue", issue=key, transition="31")
            self._await(lambda: self.ticket(key).get("state") == "Done" and self.ticket(key)["notes"], "the ticket")
            step.say(json.dumps(self.ticket(key)))
        with self._account.step("Somebody writes a note in the helpdesk") as step:
            _post(f"{self.helpdesk}/tickets/{self.ticket(key)['id']}/notes", {"text": "It was only the toner."})
            self._await(lambda: "toner" in self._comments(key), "the comment in Jira")
            step.say(self._comments(key))
        with self._account.step("Somebody deletes the issue in Jira"):
            self.jira.call("delete_issue", issue=key)
            self._await(lambda: not self.ticket(key), "the end of the ticket")

    def ticket(self, key: str) -> dict[str, Any]:
        """Return the helpdesk's ticket of an issue, {} when there is none."""
        with urllib.request.urlopen(f"{self.helpdesk}/tickets", timeout=SECONDS) as answer:
            tickets = json.load(answer)
        return next((ticket for ticket in tickets if ticket.get("key") == key), {})

    def stay(self) -> None:
        """Leave everything running until Ctrl-C."""
        self._account.line(f"\nhelpdesk: {self.helpdesk}/tickets   Jira: {self.jira.url}   Ctrl-C ends everything")
        signal.pause()

    def _agent(self) -> Agent:
        port = free_port()
        return self.stack.enroll(
            "headquarters",
            JIRA_AGENT_POLICY_PROFILE="issues,webhooks",
            JIRA_AGENT_WEBHOOK_LISTEN=f"127.0.0.1:{port}",
            **ADMINISTRATOR,
        )

    def _subscribe(self) -> dict[str, Any]:
        words = [
            "triggers",
            "add",
            "--connection",
            "hq",
            "--name",
            "tickets",
            "--events",
            EVENTS,
            "--jql",
            "project = OPS",
        ]
        made: dict[str, Any] = json.loads(self.stack.must(*words, "--deliver-to", f"{self.sync}/jira-events", "--json"))
        if made["kind"] != "registered":
            raise StepFailed(f"the trigger is {made['kind']}: {made.get('note')}", "this is a defect: please report it")
        return made

    def _run(self, module: str, **environment: str) -> None:
        port = self._ports["sync" if module == "ticket_sync" else module]
        variables = {**Stack.clean_environment(), **environment, "PORT": str(port)}
        command = [sys.executable, "-m", f"examples.{module}"]
        program = Program(command, variables, self.stack.folder / f"{module}.log").start()
        self._ending.callback(program.stop)

    def _comments(self, key: str) -> str:
        found = [record["body"] for record in self.jira.requests(f"/rest/api/2/issue/{self.ticket(key)['id']}/comment")]
        return found[-1] if found else ""

    def _await(self, condition: Any, what: str) -> None:
        try:
            wait_until(condition, what, SECONDS)
        except TimeoutError as late:
            raise StepFailed(str(late), f"look at the logs in {self.stack.folder}") from None


def main() -> int:
    """Run the example; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="leave everything running until Ctrl-C")
    stay = parser.parse_args().stay
    account = Account()
    account.line("jira-tunnel: another system in step with Jira, both ways", "bold")
    try:
        with tempfile.TemporaryDirectory(prefix="jira-ex-", dir="/tmp") as folder, ExitStack() as ending:
            example = Example(account, Path(folder), ending)
            example.start()
            example.work()
            account.line("\nEverything came about.", "bold green")
            if stay:
                example.stay()
    except StepFailed as failed:
        account.failure(failed)
        return 1
    except KeyboardInterrupt:
        account.line("\nStopped.")
    return 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _post(url: str, body: dict[str, str]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS):
        pass


if __name__ == "__main__":
    sys.exit(main())
