"""From settings to the rules of this machine: the policy, the login, and where webhooks may point.

Read at start and again on SIGHUP; whatever is wrong is a `ConfigurationError`, and the rules in force stay.
"""

from agent.addresses import GatewayAddress, JiraAddress
from agent.credentials import jira_credentials
from agent.identity import read_identity
from agent.policy import Policy, PolicyError
from agent.screening import Screening
from agent.settings import AgentSettings
from certs.errors import CertsError
from jira_api.webhook_registration import is_target_prefix
from runtime.configuration import ConfigurationError
from runtime.version import release


def user_agent() -> str:
    """Return how the agent calls itself, towards Jira and gateways."""
    return f"jira-agent/{release()}"


def check_rules(settings: AgentSettings) -> None:
    """Raise `ConfigurationError` for rules that could not be loaded later."""
    load_policy(settings)
    jira_credentials(settings)
    check_webhook_targets(settings)


def load_policy(settings: AgentSettings) -> Policy:
    """Return the policy of the settings: the file, else the profiles; raises `ConfigurationError`."""
    try:
        if settings.policy_file is None:
            return Policy.from_profiles(settings.policy_profile)
        return Policy.from_file(settings.policy_file)
    except PolicyError as error:
        if settings.policy_file is None:
            raise ConfigurationError("JIRA_AGENT_POLICY_PROFILE", error.problem, error.fix) from None
        problem = f"{error.source} {error.problem}"
        raise ConfigurationError("JIRA_AGENT_POLICY_FILE", problem, error.fix) from None


def check_webhook_targets(settings: AgentSettings) -> None:
    """Raise `ConfigurationError` for a target that is no prefix."""
    for prefix in settings.webhook_targets:
        if not is_target_prefix(prefix):
            raise ConfigurationError(
                "JIRA_AGENT_WEBHOOK_TARGETS", "holds something that is no URL prefix", "write https://host/path/"
            )


def webhook_targets(settings: AgentSettings) -> tuple[str, ...]:
    """Return the prefixes that a webhook may point to; raises `ConfigurationError`.

    Unless the administrator says otherwise: this agent and its gateways, as far as this machine knows them. Nothing
    that a gateway says counts.
    """
    check_webhook_targets(settings)
    if settings.webhook_targets:
        return settings.webhook_targets
    own = settings.webhook_base_url()
    hosts = dict.fromkeys(gateway.hooks_url for gateway in _gateways(settings))
    return (*([] if own is None else [f"{own}/hooks/"]), *hosts)


def _gateways(settings: AgentSettings) -> tuple[GatewayAddress, ...]:
    if settings.gateway_url:
        return settings.gateway_url
    try:
        return (read_identity(settings.state_dir).gateway,)
    except CertsError:
        return ()  # not enrolled yet; wrong files are told by whoever dials


def load_screening(settings: AgentSettings, jira: JiraAddress) -> Screening:
    """Return everything by which requests are judged; raises `ConfigurationError`."""
    return Screening(
        policy=load_policy(settings),
        credentials=jira_credentials(settings),
        context_path=jira.context_path.encode("ascii"),
        webhook_targets=webhook_targets(settings),
        user_agent=user_agent().encode("ascii"),
    )
