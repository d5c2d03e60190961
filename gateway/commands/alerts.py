"""`jira-gateway alerts`: which are open, and whether they arrive."""

import typer

from gateway.commands.options import EnvFile, Json, group
from gateway.commands.printing import print_json, print_table, put, say
from runtime.exits import DENIED

app = group("Alerts for operators without Prometheus (JIRA_GATEWAY_ALERT_URL).")


@app.command("list")
def list_alerts(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """List the alerts that are open; status 69 when no gateway runs."""
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    found = enter(env_file).ask("alerts", {})
    if as_json:
        return print_json(found["alerts"])
    empty = "No alert is open." if found["on"] else "Alerts are off: JIRA_GATEWAY_ALERT_URL is not set."
    return print_table(found["alerts"], ("opened_at", "kind", "subject", "text"), empty=empty)


@app.command("test")
def post_test(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Have the running gateway post a test; status 1 when it was not taken.

    \b
    Example:
      jira-gateway alerts test --json
    """  # noqa: D301 - \b keeps the lines of the example apart in --help
    from gateway.commands.desk import enter  # noqa: PLC0415 - see gateway.commands

    came = enter(env_file).ask("alerts-test", {})
    if as_json:
        print_json(came)
    elif came["ok"]:
        put(f"It was taken ({came['status']}).")
    else:
        say(f"It was not taken: {came['error']}")
    if not came["ok"]:
        raise typer.Exit(DENIED)
