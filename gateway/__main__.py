"""`jira-gateway`: the command line. Puts the commands together and turns errors into exit statuses.

Keep this file's imports light: `version` and `--help` answer in a tenth of a second.
"""

import sys

from gateway.commands import agents, alerts, audit, connections, doctor, safekeeping, tokens, triggers
from gateway.commands.options import EnvFile, Json, group
from gateway.commands.printing import print_json, put
from runtime.exits import NO_HELP, run_command
from runtime.lean import load_lean
from runtime.version import release

app = group(
    """Routes Jira REST requests from callers to Jiras behind agents, or reached directly.

    \b
    A first installation:
      jira-gateway run
      jira-gateway agents invite headquarters            # the code goes to 'jira-agent enroll -'
      jira-gateway connections add hq --via headquarters --credentials agent
      jira-gateway tokens create ci --connection hq
      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/jira/hq/rest/api/2/serverInfo

    \b
    Configuration comes from JIRA_GATEWAY_* variables or --env-file; see docs/operations.md.
    Exit status: 0 ok, 1 no or failed, 2 usage, 69 not running, 78 configuration.
    """
)
app.add_typer(agents.app, name="agents")
app.add_typer(connections.app, name="connections")
app.add_typer(tokens.app, name="tokens")
app.add_typer(triggers.app, name="triggers")
app.add_typer(alerts.app, name="alerts")
app.add_typer(audit.app, name="audit")
app.command()(doctor.doctor)
app.command()(safekeeping.backup)
app.command()(safekeeping.restore)


@app.command()
def run(*, env_file: EnvFile = None) -> int:
    """Run the gateway until SIGTERM or SIGINT; it drains first (JIRA_GATEWAY_DRAIN_SECONDS)."""
    load_lean()
    from gateway.settings import GatewaySettings  # noqa: PLC0415 - not for the other commands
    from runtime.configuration import load  # noqa: PLC0415 - the same

    load(GatewaySettings, env_file=env_file)  # a mistake is told before the whole program is loaded
    from gateway.app import main as run_gateway  # noqa: PLC0415 - only this command needs it
    from gateway.commands.desk import enter  # noqa: PLC0415 - the same

    return run_gateway(enter(env_file).settings)


@app.command()
def healthcheck(*, env_file: EnvFile = None) -> None:
    """Exit with 0 when the gateway on JIRA_GATEWAY_ADMIN_LISTEN lives, else with 69; for container runtimes."""
    from gateway.settings import GatewaySettings  # noqa: PLC0415 - see gateway.commands
    from runtime.configuration import load  # noqa: PLC0415 - the same
    from runtime.healthcheck import ask_health  # noqa: PLC0415 - the same

    ask_health(load(GatewaySettings, env_file=env_file).admin_listen)


@app.command(context_settings=NO_HELP)
def version(*, as_json: Json = False) -> None:
    """Print the version."""
    if as_json:
        return print_json({"name": "jira-gateway", "version": release()})
    return put(f"jira-gateway {release()}")


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run_command(app, "jira-gateway"))


if __name__ == "__main__":
    main()
