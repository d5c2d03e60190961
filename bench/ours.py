"""Our own system as an installation has it: gateway and agent as real processes with their defaults.

Three connections: `hq` as everybody has it, `hq-untouched` without link rewriting, and `uploads` by a second agent,
which stands before the sink.
"""

from pathlib import Path

from bench.systems import System
from tests.support.stack import Agent, Stack, wait_until

SWITCHED_ON = (
    "mutual TLS 1.3 between agent and gateway",
    "tokens, accounting and limits of the gateway at their defaults",
    "policy of the agent: profile issues",
    "Jira's login added by the agent",
    "link rewriting (but where it says untouched)",
    "access log of the gateway: level info, JSON, into a file",
    "audit log of the agent",
    "metrics and admin pages of both",
    "webhook listener of the agent at its default",
)
SWITCHED_OFF = ("TLS towards callers: by default the gateway listens behind a load balancer",)


def start(stack: Stack, web_port: int, sink_port: int) -> System:
    """Start a gateway and two agents; return how to reach them."""
    stack.start_gateway()
    login = stack.folder / "jira-token"
    login.touch(mode=0o600)
    login.write_text("bench-token\n")
    agents = {"hq": _agent(stack, "hq", web_port, login), "uploads": _agent(stack, "uploads", sink_port, login)}
    for name, via, *flags in (("hq", "hq"), ("hq-untouched", "hq", "--no-rewrite-links"), ("uploads", "uploads")):
        stack.must("connections", "add", name, "--via", via, "--credentials", "agent", *flags)
    token = stack.token("bench", "hq", "hq-untouched", "uploads")
    wait_until(lambda: len(stack.links()) == len(agents), "both agents are connected")
    return System(
        "ours",
        base=f"{stack.url}/jira/hq",
        uploads=f"{stack.url}/jira/uploads",
        pids={"gateway": [stack.gateway.pid], "agent": [agents["hq"].pid]},
        headers=(f"Authorization: Bearer {token}",),
        untouched=f"{stack.url}/jira/hq-untouched",
    )


def _agent(stack: Stack, name: str, port: int, login: Path) -> Agent:
    settings = {
        "JIRA_AGENT_JIRA_URL": f"http://127.0.0.1:{port}",
        "JIRA_AGENT_JIRA_TOKEN_FILE": str(login),
        "JIRA_AGENT_POLICY_PROFILE": "issues",
    }
    return stack.enroll(name, **settings).start_and_wait()
