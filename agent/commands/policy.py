"""``jira-agent policy``: what the policy of this machine says, without Jira and without a running agent."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.commands.options import EnvFile, Json, group, print_json, put, read_settings, tell
from runtime.exits import DENIED, OK

if TYPE_CHECKING:
    from agent.policy import Policy
    from jira_api.decisions import Decision

app = group(
    """Ask what may pass to Jira, by the policy of this machine.

    \b
    Examples:
      jira-agent policy show
      jira-agent policy check GET /rest/api/2/issue/OPS-1
      jira-agent policy check POST '/rest/api/2/search'
    """
)


@app.command()
def check(
    method: Annotated[str, typer.Argument(help="GET, POST, …")],
    path: Annotated[str, typer.Argument(help="The path without Jira's context path; a query may follow.")],
    *,
    credentials: Annotated[
        Literal["agent", "gateway", "caller"], typer.Option(help="Whose Jira login the request would use.")
    ] = "agent",
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Print `allow RULE` (exit 0) or `deny REASON` (exit 1) for one request."""
    from agent.rules import load_policy  # noqa: PLC0415 - only here
    from jira_api.decisions import Allow  # noqa: PLC0415 - the same

    decision = _decide(load_policy(read_settings(env_file)), method, path, credentials)
    if isinstance(decision, Allow):
        answer = {"decision": "allow", "rule": decision.rule_id, "webhook_target_checked": decision.needs_body_check}
        if decision.needs_body_check:
            tell("The url in the body must also begin with one of JIRA_AGENT_WEBHOOK_TARGETS.")
    else:
        answer = {"decision": "deny", "reason": decision.reason, "rule": decision.rule_id}
    if as_json:
        print_json(answer)
    else:
        put(str(decision))
    return OK if isinstance(decision, Allow) else DENIED


@app.command()
def show(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Print every rule of the policy, in the order in which they are tried."""
    from agent.rules import load_policy  # noqa: PLC0415 - only here

    policy = load_policy(read_settings(env_file))
    rules = policy.describe()
    if as_json:
        return print_json({"source": policy.source, "rules": rules})
    put(f"{policy.source}: {len(rules)} rules; what none of them allows is refused")
    for rule in rules:
        notes = [f"{name}={value}" for name, value in rule["query"].items()]
        notes += ["caller's credentials only"] if rule["caller_credentials_only"] else []
        notes += ["webhook target checked"] if rule["webhook_target_checked"] else []
        put(f"  {rule['id']:<18} {' '.join(rule['methods']):<24} {rule['path']}  {', '.join(notes)}".rstrip())
    return None


def _decide(policy: "Policy", method: str, path: str, credentials: Literal["agent", "gateway", "caller"]) -> "Decision":
    from http1.target import AmbiguousTarget, parse_target  # noqa: PLC0415 - only here
    from jira_api.decisions import Deny  # noqa: PLC0415 - the same

    try:
        target = parse_target(path.encode("utf-8", "surrogateescape"))
    except AmbiguousTarget as error:
        return Deny(f"the path is ambiguous: {error.reason}")
    return policy.decide(method.encode("utf-8", "surrogateescape"), target, credentials)
