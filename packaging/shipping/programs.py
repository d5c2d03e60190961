"""What is shipped: which program has which code, commands and files. Tables; knows nothing of packages' formats."""

from dataclasses import dataclass
from pathlib import Path

import typer

from agent.__main__ import app as agent_app
from agent.settings import AgentSettings
from certs.__main__ import app as certs_app
from gateway.__main__ import app as gateway_app
from gateway.settings import GatewaySettings
from runtime.configuration import ProgramSettings

PROJECT = Path(__file__).resolve().parents[2]

# What makes and signs certificates: the customer's machine must not be able to.
ISSUING = frozenset(
    {"certs/__main__.py", "certs/ca.py", "certs/ca_directory.py", "certs/profiles.py", "certs/revocation.py"}
)


@dataclass(frozen=True)
class Program:
    """One program as it is shipped: `name` is that of its package, service, system user and folders."""

    name: str
    summary: str
    description: str
    folders: tuple[str, ...]
    left_out: frozenset[str]
    commands: dict[str, tuple[str, typer.Typer]]  # command -> module, command line
    settings: type[ProgramSettings]
    env_file: str
    units: tuple[str, ...]
    started: str  # the unit that an installation enables and starts
    needs: str  # the variable without which it cannot start, if there is one: until then it is enabled only

    @property
    def lock(self) -> Path:
        """The lock of what it runs on."""
        return PROJECT / "requirements" / f"{self.name.removeprefix('jira-')}.lock"

    @property
    def home(self) -> str:
        """Where it is installed, without the leading slash."""
        return f"opt/{self.name}"

    @property
    def services(self) -> list[str]:
        """Its units but for templates: those that can be started as they are."""
        return [unit for unit in self.units if "@" not in unit]

    def sources(self) -> list[str]:
        """Its own files, as paths from the project's root."""
        found = [
            path.relative_to(PROJECT).as_posix()
            for folder in self.folders
            for path in sorted((PROJECT / folder).rglob("*"))
            if path.suffix == ".py" or path.name == "py.typed"
        ]
        return [path for path in found if path not in self.left_out]


AGENT = Program(
    name="jira-agent",
    summary="carries Jira requests out of a company network",
    description="A service inside the firewall: it dials out to a jira-gateway over mutual TLS, and carries requests "
    "from there to the Jira of this network, and Jira's webhooks back, as far as the policy on this machine allows. "
    "No port is opened to the outside.",
    folders=("agent", "certs", "http1", "jira_api", "runtime", "tunnel"),
    left_out=ISSUING,
    commands={"jira-agent": ("agent.__main__", agent_app)},
    settings=AgentSettings,
    env_file="agent.env",
    units=("jira-agent.service", "jira-agent@.service"),
    started="jira-agent.service",
    needs="",
)
GATEWAY = Program(
    name="jira-gateway",
    summary="way to Jiras behind firewalls, for cloud integrations",
    description="A service in the cloud: callers use it as if it were their Jira, and it carries each request to the "
    "right one, through the agent inside a company's firewall or directly. It comes with jira-certs, which keeps the "
    "private CA by hand.",
    folders=("certs", "gateway", "http1", "jira_api", "runtime", "tunnel"),
    left_out=frozenset(),
    commands={"jira-gateway": ("gateway.__main__", gateway_app), "jira-certs": ("certs.__main__", certs_app)},
    settings=GatewaySettings,
    env_file="gateway.env",
    units=("jira-gateway.service", "jira-gateway.socket"),
    started="jira-gateway.service",
    needs="JIRA_GATEWAY_TUNNEL_URL",
)
PROGRAMS = (AGENT, GATEWAY)
