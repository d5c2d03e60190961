"""`jira-gateway connections permissions` and `explain`: what an account may do, and why a request was refused.

Both ask the running gateway; `permissions` talks to Jira through the connection, `explain` only remembers.
"""

from typing import Annotated, Any

import typer

from gateway.commands.options import EnvFile, Json, Name
from gateway.commands.printing import print_fields, print_json, print_table, put, say
from runtime.exits import DENIED, CommandFailed

Project = Annotated[str | None, typer.Option("--project", metavar="KEY", help="In this project.")]
Issue = Annotated[str | None, typer.Option("--issue", metavar="KEY", help="On this issue.")]
Need = Annotated[
    str,
    typer.Option("--need", metavar="KEY,…", help="Permissions or actions without which the exit status is 1."),
]
RequestId = Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The answer's X-Request-ID.", show_default=False)]


def permissions(
    name: Name,
    *,
    project: Project = None,
    issue: Issue = None,
    need: Need = "",
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Report what the account of this connection may do in Jira, why not, and where that is granted.

    Status 1 when something of --need is not surely allowed, 69 when nothing runs or Jira cannot be asked.

    \b
    Examples:
      jira-gateway connections permissions hq --issue OPS-42
      jira-gateway connections permissions hq --project OPS --need CREATE_ISSUES,ADD_COMMENTS
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    asked = {"name": name, "project": project, "issue": issue, "need": need}
    result = enter(env_file).ask("permissions", asked)
    if as_json:
        print_json(result)
    else:
        _print_report(result)
    if not result.get("ok", False):
        raise CommandFailed(f"the account of {name} lacks {', '.join(result['missing'])}", DENIED)


def explain(name: Name, request_id: RequestId, *, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Explain why a request on this connection was answered as it was, with the evidence."""
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    result = enter(env_file).ask("explain", {"name": name, "request_id": request_id})
    return print_json(result) if as_json else _print_explanation(result)


def _print_report(result: dict[str, Any]) -> None:
    print_fields(_head(result))
    put("")
    print_table([_line(row) for row in result["actions"]], ("action", "state", "permission", "why"), empty="")
    grants = dict.fromkeys(row["grant"] for row in [*result["needs"], *result["actions"]] if row["grant"])
    if grants:
        put("\nWhere an administrator grants it:")
        for grant in grants:
            put(f"- {grant}")
    for row in result["needs"]:
        say(f"{row['need']}: {row['state']} - {row['why']}")


def _head(result: dict[str, Any]) -> dict[str, Any]:
    jira, account, login = result["jira"] or {}, result["account"] or {}, result["login"] or {}
    project, issue = result["project"] or {}, result["issue"] or {}
    return {
        "connection": result["connection"],
        "jira": " ".join(filter(None, (jira.get("deployment"), jira.get("version"), jira.get("base_url")))),
        "account": account.get("name"),
        "groups": account.get("groups"),
        "login": " ".join(filter(None, (login.get("verdict"), login.get("meaning"), login.get("action")))),
        "project": " ".join(filter(None, (project.get("key"), project.get("sight")))),
        "issue": " ".join(filter(None, (issue.get("key"), issue.get("sight")))),
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    needed = [key for key in row["permissions"] if key["key"] in row["needs_all"]]
    one_of = " or ".join(key["key"] for key in row["permissions"] if key not in needed)
    keys = " and ".join([one_of, *(key["key"] for key in needed)])
    return {"action": row["title"], "state": row["state"], "permission": keys, "why": row["why"]}


def _print_explanation(result: dict[str, Any]) -> None:
    put(result["text"])
    for reading in result["also"]:
        put(f"It may also be that {reading}." if " " in reading else reading)
    if result["action"]:
        put(result["action"])
    if result["next"]:
        put(f"Next: {result['next']}")
    put("\nEvidence:")
    put(f"- {result['at']}, token {result['caller']}, answered by {result['answered_by']}")
    for line in result["evidence"]:
        put(f"- {line}")
