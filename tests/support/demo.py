"""`make demo`: the main job for real, as separate processes over real sockets and real TLS.

Starts a gateway and a Jira (or talks to the one of JIRA_URL, see demo_jira.py), enrolls and starts an agent, adds a
connection and a token, and lets an unchanged Jira client work through them. Stays up until Ctrl-C; with ``--once`` it
ends at once. Exit status 0: everything came about; 1: a step failed, and the account says why.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.support.demo_account import Account, StepFailed
from tests.support.demo_jira import Target, real_jira, stand_in
from tests.support.demo_steps import Caller, read, refuse, write
from tests.support.stack import Agent, Program, Stack, run

AGENT = "headquarters"
CONNECTION = "hq"
LOG_LINES = 6
LONGEST_DIRECTORY = 48
SHOWN_FIELDS = ("event", "error", "code", "reason", "action", "method", "path")
FIXES = {
    "jira": "check JIRA_URL (with its context path) and the login from this machine; JIRA_CA_FILE names a private CA",
    "login": "check JIRA_USERNAME and JIRA_PASSWORD, or JIRA_TOKEN, with one login in a browser (CAPTCHA?)",
}

T = TypeVar("T")


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.demo", description="The main job, for real.")
    parser.add_argument("--once", action="store_true", help="end when everything has been shown")
    once = parser.parse_args().once
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # so that the children are ended in the same way
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # everything here is on loopback or on the LAN
    account = Account()
    account.line("jira-tunnel: gateway, agent and Jira as separate processes on this machine", "bold")
    try:
        with tempfile.TemporaryDirectory(prefix="jira-demo-", dir=_short_directory()) as folder:
            return _demo(account, Path(folder), once=once)
    except StepFailed as failed:
        account.failure(failed)
    except KeyboardInterrupt:
        account.line("\nStopped before the end.")
    return 1


def _short_directory() -> str:
    """Where scratch folders go: a unix socket's path has at most 107 bytes."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_DIRECTORY else "/tmp"


def _demo(account: Account, folder: Path, *, once: bool) -> int:
    real = real_jira(os.environ)
    account.heading("Set up")
    with contextlib.ExitStack() as ending:
        with account.step("Use the Jira of JIRA_URL" if real else "Start a Jira") as step:
            target = real or ending.enter_context(stand_in(folder))
            step.say(target.description)
            if target.stand_in is not None:
                step.say(f"it believes to be at {target.stand_in.base_url}, as a Jira behind a load balancer does")
        stack = ending.enter_context(Stack(folder, target.url))
        with _log_lines_on_failure(account, stack):
            agent = _set_up(account, stack, target)
            token = _give_access(account, stack)
            _use(account, stack, target, token)
        _tell_addresses(account, stack, agent, target)
        account.line(f"\nEverything came about, in {account.seconds:.1f} s.", "bold green")
        return 0 if once else _stay(account, [stack.gateway, agent])


def _set_up(account: Account, stack: Stack, target: Target) -> Agent:
    with account.step("Start the gateway; it makes its private CA and its database") as step:
        _plainly(stack.start_gateway)
        step.say(f"callers: {stack.url}   agents: wss://127.0.0.1:{stack.tunnel_port} (mutual TLS 1.3)")
        step.say(f"SHA-256 of the CA's certificate: {_ca_fingerprint(stack)}")
    agent = stack.agent(AGENT, JIRA_AGENT_POLICY_PROFILE=target.policy_profile, **target.login)
    with account.step("Invite an agent; enroll it with the one-time code") as step:
        code = _plainly(lambda: stack.must("agents", "invite", AGENT))
        enrolled = agent.command("enroll", "-", stdin=code)
        if enrolled.returncode:
            raise StepFailed(enrolled.stderr.strip(), "look at the log lines below")
        step.say(f"$ jira-gateway agents invite {AGENT} | jira-agent enroll -")
        step.say(enrolled.stdout.strip())
    with account.step("Start the agent; it dials out to the gateway") as step:
        _plainly(agent.start_and_wait)
        links = agent.command("status", "--json").stdout
        step.say(f"{json.loads(links)['status']}; policy: {target.policy_profile}; Jira's login stays at the agent")
    return agent


def _give_access(account: Account, stack: Stack) -> str:
    with account.step("Add a connection and a token for it") as step:
        token = _plainly(lambda: stack.connect(CONNECTION, via=AGENT))
        step.say(f"$ jira-gateway connections add {CONNECTION} --via {AGENT} --credentials agent")
        step.say(f"$ jira-gateway tokens create token-{CONNECTION} --connection {CONNECTION}")
    with account.step("Test the connection") as step:
        tested = stack.command("connections", "test", CONNECTION, "--json")
        if not tested.stdout:
            raise StepFailed(tested.stderr.strip(), "look at the log lines below")
        for check in json.loads(tested.stdout)["checks"]:
            if check["result"] == "fail":
                raise StepFailed(f"{check['check']}: {check['detail']}", FIXES.get(check["check"], check["action"]))
            step.say(f"{check['check']:<6} {check['result']}: {check['detail']}")
    return token


def _use(account: Account, stack: Stack, target: Target, token: str) -> None:
    account.heading("Use it: the unchanged PyPI client 'jira', with another address and login")
    url = f"{stack.url}/jira/{CONNECTION}"
    shown = "rest/api/2/myself"
    with contextlib.closing(Caller(url, token)) as caller:
        read(account, caller, target)
        if target.project is not None:
            issue = write(account, caller, target)
            if target.stand_in is not None:
                shown = f"rest/api/2/issue/{issue}?fields=summary,status,comment"
        refuse(account, caller, target)
    account.heading("Try it yourself")
    account.line(f"  curl -s -H 'Authorization: Bearer {token}' '{url}/{shown}'")


def _tell_addresses(account: Account, stack: Stack, agent: Agent, target: Target) -> None:
    account.heading("Addresses")
    account.line(f"  callers   {stack.url}/jira/{CONNECTION}/…   instead of {target.url}/…")
    account.line(f"  gateway   http://127.0.0.1:{stack.admin_port}/metrics   (also /healthz, /readyz)")
    account.line(f"  agent     http://127.0.0.1:{agent.admin_port}/status    (also /metrics, /healthz, /readyz)")
    account.line(f"  logs      {stack.gateway.log}")
    account.line(f"            {agent.log}")


def _stay(account: Account, programs: list[Program]) -> int:
    account.line("It stays up until Ctrl-C.")
    try:
        while all(program.is_running for program in programs):
            time.sleep(0.2)
    except KeyboardInterrupt:
        account.line("\nStopping.")
        return 0
    account.line("A process ended by itself; its log was:", "red")
    for program in programs:
        if not program.is_running:
            account.line(program.output())
    return 1


@contextlib.contextmanager
def _log_lines_on_failure(account: Account, stack: Stack) -> Iterator[None]:
    try:
        yield
    except StepFailed as failed:
        account.failure(failed)
        for program in [stack.gateway, *stack.agents]:
            for line in telling_lines(program.output()):
                account.line(f"      {program.log.stem} log: {line}", "dim")
        raise SystemExit(1) from None


def telling_lines(log: str) -> list[str]:
    """The last lines of a log that a person should see: warnings, errors, and what is no log line at all."""
    found = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        if entry.get("level") in {"warning", "error"}:
            found.append(", ".join(f"{name}={entry[name]}" for name in SHOWN_FIELDS if entry.get(name)))
    return found[-LOG_LINES:]


def _plainly(action: Callable[[], T]) -> T:
    """Run it; what goes wrong in a process becomes a StepFailed."""
    try:
        return action()
    except (RuntimeError, TimeoutError) as error:
        raise StepFailed(str(error), "look at the log lines below") from None


def _ca_fingerprint(stack: Stack) -> str:
    directory = Path(stack.settings["JIRA_GATEWAY_STATE_DIR"], "ca")
    shown = run([sys.executable, "-m", "certs", "show", str(directory), "--json"], stack.gateway.environment, None)
    return str(json.loads(shown.stdout)["certificates"][0]["fingerprint"])


if __name__ == "__main__":
    sys.exit(main())
