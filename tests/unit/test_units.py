"""The units of systemd: what they run exists, what they name is the programs' own, and their sandbox stays closed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from runtime.configuration import _is_secret
from runtime.exits import CONFIGURATION

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
AGENTS = ["jira-agent.service", "jira-agent@.service"]
SERVICES = [*AGENTS, "jira-gateway.service"]
SETTINGS = {
    "jira-agent.service": AgentSettings,
    "jira-agent@.service": AgentSettings,
    "jira-gateway.service": GatewaySettings,
}


def unit(name):
    """Return a unit's lines as section, key, value; keys may come again."""
    section, found = "", []
    for line in (FOLDER / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found


def values(name, key):
    return [value for _, found, value in unit(name) if found == key]


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_has_a_credential_and_none_needs_a_file(name):
    cls = SETTINGS[name]
    secrets = {
        (cls.prefix + field).lower() for field, found in cls.model_fields.items() if _is_secret(found.annotation)
    }
    loaded = {value.partition(":")[0]: value.partition(":")[2] for value in values(name, "LoadCredential")}
    assert loaded.keys() == secrets
    assert not [source for source in loaded.values() if source.startswith("/")]  # a missing file would fail the start


@pytest.mark.parametrize("name", SERVICES)
def test_a_crash_is_restarted_for_ever_and_a_wrong_configuration_never(name):
    assert values(name, "Restart") == ["always"]
    assert values(name, "RestartPreventExitStatus") == [str(CONFIGURATION)]
    assert values(name, "StartLimitIntervalSec") == ["0"]


@pytest.mark.parametrize("name", SERVICES)
def test_the_time_to_stop_is_longer_than_the_default_drain(name):
    (seconds,) = values(name, "TimeoutStopSec")
    assert int(seconds) > SETTINGS[name].model_fields["drain_seconds"].default + 10


def test_the_units_differ_from_the_template_only_where_instances_do():
    only, template = (set(unit(name)) for name in AGENTS)
    changed = {key for _, key, _ in only ^ template}
    assert changed == {
        *("Description", "EnvironmentFile", "ExecStart", "SyslogIdentifier", "StateDirectory", "LoadCredential"),
        *("TemporaryFileSystem", "BindPaths"),
    }


def test_the_sockets_are_where_the_gateway_listens_by_default():
    listening = {str(GatewaySettings.model_fields[name].default) for name in ("api_listen", "tunnel_listen")}
    assert set(values("jira-gateway.socket", "ListenStream")) == listening


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", SERVICES)
def test_the_sandbox_is_closed(name):
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
