"""``jira-agent``: the command line. Puts the commands together and turns errors into exit statuses.

Keep this file's imports light: `version` and `--help` answer in a tenth of a second.
"""

import sys

from agent.commands import audit, policy
from agent.commands.doctor import doctor
from agent.commands.enrolment import enroll
from agent.commands.options import EnvFile, Json, follow, group, print_json, put, read_settings
from agent.commands.printing import status_lines
from agent.commands.support import support_bundle
from agent.commands.switch import pause, read_only, resume
from runtime.exits import NO_HELP, run_command
from runtime.lean import load_lean

app = group(
    """Carries Jira REST requests from the gateway to the Jira of this network, as far as the local policy allows.

    \b
    A first installation:
      jira-agent enroll - < code.txt          # the code comes from 'jira-gateway agents invite NAME'
      export JIRA_AGENT_JIRA_URL=https://jira.corp.local/jira
      export JIRA_AGENT_JIRA_TOKEN_FILE=/etc/jira-agent/token
      jira-agent policy check GET /rest/api/2/myself
      jira-agent run

    \b
    Configuration comes from JIRA_AGENT_* variables or --env-file; see docs/operations.md.
    Exit status: 0 ok, 1 no or failed, 2 usage, 69 not running or unreachable, 78 configuration.
    """
)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.command()(enroll)
app.command()(doctor)
app.command()(pause)
app.command()(resume)
app.command("read-only")(read_only)
app.command("support-bundle")(support_bundle)


@app.command()
def run(*, env_file: EnvFile = None) -> None:
    """Run the agent until SIGTERM or SIGINT; it drains first. SIGHUP reads policy and credentials again."""
    load_lean()
    from agent.rules import check_rules  # noqa: PLC0415 - not for the other commands

    follow(env_file)
    settings = read_settings(env_file)
    check_rules(settings)  # a mistake is told before the whole program is loaded
    from agent.app import main as run_agent  # noqa: PLC0415 - only this command needs the whole program
    from runtime import logs, loop  # noqa: PLC0415 - the same
    from runtime.identity import act_as_owner  # noqa: PLC0415 - the same

    act_as_owner(settings.state_dir)
    with logs.apart(settings.log_level, settings.log_format):
        loop.run(run_agent(settings, lambda: read_settings(env_file)))


@app.command()
def status(*, env_file: EnvFile = None, as_json: Json = False) -> None:
    """Print what the running agent is doing; exit status 69 when none runs."""
    from runtime.control import call  # noqa: PLC0415 - only here

    page = call(read_settings(env_file).state_dir, "status", seconds=5)
    if as_json:
        return print_json(page)
    for line in status_lines(page):
        put(line)
    return None


@app.command()
def healthcheck(*, env_file: EnvFile = None) -> None:
    """Exit with 0 when the agent on JIRA_AGENT_ADMIN_LISTEN lives, else with 69; for container runtimes."""
    from runtime.healthcheck import ask_health  # noqa: PLC0415 - only here

    ask_health(read_settings(env_file).admin_listen)


@app.command(context_settings=NO_HELP)
def version(*, as_json: Json = False) -> None:
    """Print the version."""
    from runtime.version import release  # noqa: PLC0415 - only here

    if as_json:
        return print_json({"name": "jira-agent", "version": release()})
    return put(f"jira-agent {release()}")


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run_command(app, "jira-agent"))


if __name__ == "__main__":
    main()
