"""Assignments that a command writes into the env file: in their place, everything else as it was."""

import pytest

from agent.env_file import EnvFileUnwritable, assignment, can_write, with_assignments, write_assignments
from agent.settings import AgentSettings
from runtime.configuration import load

SHIPPED = """\
# The base URL of Jira
#JIRA_AGENT_JIRA_URL=https://jira.corp.local/jira
; JIRA_AGENT_LINKS=2-16
JIRA_AGENT_LOG_LEVEL=debug   # no comment for systemd
"""


def test_a_commented_line_is_replaced_and_the_rest_stays():
    text = with_assignments(SHIPPED, {"JIRA_AGENT_JIRA_URL": "https://j.example/x"})
    assert text == SHIPPED.replace(
        "#JIRA_AGENT_JIRA_URL=https://jira.corp.local/jira", "JIRA_AGENT_JIRA_URL=https://j.example/x"
    )


def test_an_assignment_is_replaced_and_of_several_the_one_that_counts():
    text = with_assignments("A=1\n#A=0\nB=2\n A = 3\n", {"A": "4"})
    assert text == "A=1\n#A=0\nB=2\nA=4\n"


def test_a_new_one_comes_last_and_names_are_not_mistaken():
    assert with_assignments("JIRA_AGENT_JIRA_URL_X=1", {"JIRA_AGENT_JIRA_URL": "http://j"}).endswith(
        "_X=1\nJIRA_AGENT_JIRA_URL=http://j\n"
    )
    assert with_assignments("", {"A": "1"}) == "A=1\n"


@pytest.mark.parametrize("value", ["a b", "a\nB=1", "a'", "ü", "$x", "a#"])
def test_what_the_format_could_read_differently_is_refused(value):
    with pytest.raises(ValueError, match="characters"):
        assignment("A", value)


def test_what_was_written_is_read_and_mode_and_owner_stay(tmp_path):
    path = tmp_path / "agent.env"
    path.write_text(SHIPPED.replace("   # no comment for systemd", ""))
    path.chmod(0o600)
    values = {"JIRA_AGENT_JIRA_URL": "https://[::1]:8443/jira", "JIRA_AGENT_POLICY_PROFILE": "issues,webhooks"}
    write_assignments(path, values)
    settings = load(AgentSettings, env_file=path, environ={})
    assert (str(settings.jira_url), settings.policy_profile) == ("https://[::1]:8443/jira", ("issues", "webhooks"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["agent.env"]


def test_a_new_file_is_not_for_everybody(tmp_path):
    write_assignments(tmp_path / "agent.env", {"A": "1"})
    assert (tmp_path / "agent.env").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "agent.env").write_text("A=1\n")
    (tmp_path / "agent.env").symlink_to(tmp_path / "real" / "agent.env")
    write_assignments(tmp_path / "agent.env", {"A": "2"})
    assert (tmp_path / "agent.env").is_symlink()
    assert (tmp_path / "real" / "agent.env").read_text() == "A=2\n"


def test_a_file_that_cannot_be_written_stays_and_the_reason_is_told(tmp_path):
    path = tmp_path / "no" / "agent.env"
    assert not can_write(path)
    with pytest.raises(EnvFileUnwritable, match="No such file"):
        write_assignments(path, {"A": "1"})
    binary = tmp_path / "agent.env"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(EnvFileUnwritable):
        write_assignments(binary, {"A": "1"})
    assert binary.read_bytes() == b"\xff\xfe"
    assert [file.name for file in tmp_path.iterdir()] == ["agent.env"]
