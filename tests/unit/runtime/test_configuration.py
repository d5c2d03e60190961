"""Configuration: where values come from, which one wins, and how every mistake is told in one line."""

from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr, model_validator

from runtime.configuration import (
    ConfigurationError,
    ProgramSettings,
    cannot_bind,
    follow_env_file,
    load,
    service_variables,
)
from runtime.exits import CONFIGURATION

CANARY = "canary-in-a-secret"


class Settings(ProgramSettings):
    prefix: ClassVar[str] = "TEST_AGENT_"
    default_env_file: ClassVar[Path] = Path("/nonexistent/agent.env")

    jira_url: str | None = None
    jira_token: SecretStr | None = None
    count: int = Field(3, ge=1, le=9, description="how many there are")
    level: Literal["info", "debug"] = "info"
    enabled: bool = False

    @model_validator(mode="after")
    def _consistent(self):
        if self.count == 9:
            raise ConfigurationError("TEST_AGENT_COUNT", "is nine", "choose another")
        return self


class Strict(Settings):
    needed: str


@pytest.fixture
def env_file(tmp_path):
    def write(content):
        path = tmp_path / "agent.env"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(environ=None, **options):
    return load(Settings, environ=environ or {}, **options)


def fails(environ=None, cls=Settings, **options):
    with pytest.raises(ConfigurationError) as failure:
        load(cls, environ=environ or {}, **options)
    error = failure.value
    assert error.status == CONFIGURATION
    assert "\n" not in str(error)
    assert CANARY not in str(error)
    assert CANARY not in repr(error)
    assert error.__cause__ is None
    assert str(error) == f"{error.variable}: {error.problem}; {error.fix}"
    return error


def test_without_anything_the_defaults_hold():
    assert read() == Settings()


def test_the_environment_is_read_with_the_prefix():
    settings = read({"TEST_AGENT_COUNT": "5", "TEST_AGENT_ENABLED": "1", "COUNT": "7", "OTHER_COUNT": "x"})
    assert (settings.count, settings.enabled) == (5, True)


def test_an_empty_variable_is_as_good_as_none():
    assert read({"TEST_AGENT_COUNT": "", "TEST_AGENT_JIRA_URL": "  "}) == Settings()


def test_the_process_wins_over_the_file(env_file):
    path = env_file("TEST_AGENT_COUNT=5\nTEST_AGENT_LEVEL=debug\n")
    settings = read({"TEST_AGENT_COUNT": "7"}, env_file=path)
    assert (settings.count, settings.level) == (7, "debug")


def test_the_default_file_is_read_when_it_is_readable(env_file, monkeypatch):
    monkeypatch.setattr(Settings, "default_env_file", env_file("TEST_AGENT_COUNT=4"))
    assert read().count == 4


def test_a_given_file_replaces_the_default_one(env_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Settings, "default_env_file", env_file("TEST_AGENT_COUNT=4"))
    other = tmp_path / "other.env"
    other.write_text("TEST_AGENT_LEVEL=debug")
    assert read(env_file=other).count == 3


def test_nothing_is_read_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("TEST_AGENT_COUNT=5")
    (tmp_path / "agent.env").write_text("TEST_AGENT_COUNT=5")
    monkeypatch.chdir(tmp_path)
    assert read().count == 3


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("TEST_AGENT_JIRA_URL=a b", "a b"),
        ("  TEST_AGENT_JIRA_URL = a  ", "a"),
        ('TEST_AGENT_JIRA_URL="a # b"', "a # b"),
        ("TEST_AGENT_JIRA_URL='a\"'", 'a"'),
        ("TEST_AGENT_JIRA_URL=a=b", "a=b"),
        ("# comment\n; comment\n\nTEST_AGENT_JIRA_URL=x", "x"),
        ("TEST_AGENT_JIRA_URL=x\r\n", "x"),
        ("TEST_AGENT_JIRA_URL=a\u2028b", "a\u2028b"),
        ("SOMETHING_ELSE=1\nTEST_AGENT_JIRA_URL=x", "x"),
    ],
)
def test_the_file_has_the_format_of_systemd(env_file, line, value):
    assert read(env_file=env_file(line)).jira_url == value


@pytest.mark.parametrize("line", ["nonsense", "export TEST_AGENT_COUNT=1", "=x", "1A=x", f"my secret {CANARY}"])
def test_a_line_that_is_no_assignment_is_named_by_its_number(env_file, line):
    path = env_file(f"# first\n{line}\n")
    assert fails(env_file=path).variable == f"{path}:2"


def test_a_file_that_is_not_there_or_not_text_is_named(env_file, tmp_path):
    assert fails(env_file=tmp_path / "none").variable == "--env-file"
    assert fails(env_file=tmp_path).variable == "--env-file"
    assert "UTF-8" in fails(env_file=env_file(b"TEST_AGENT_COUNT=\xff")).problem


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TEST_AGENT_JIRA_ULR", "TEST_AGENT_JIRA_URL"),
        ("TEST_AGENT_JIRATOKEN", "TEST_AGENT_JIRA_TOKEN"),
        ("TEST_AGENT_JIRA_TOKEN_FIEL", "TEST_AGENT_JIRA_TOKEN_FILE"),
        ("TEST_AGENT_count", "TEST_AGENT_COUNT"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_suggestion(env_file, variable, meant):
    for error in (fails({variable: CANARY}), fails(env_file=env_file(f"{variable}={CANARY}"))):
        assert error.variable == variable
    if variable.isupper():
        assert error.fix == f"did you mean {meant}?"


def test_only_secrets_may_come_from_a_file():
    assert fails({"TEST_AGENT_COUNT_FILE": "/x"}).variable == "TEST_AGENT_COUNT_FILE"


def test_a_secret_comes_from_the_variable_the_file_or_the_credential(tmp_path):
    (tmp_path / "from-file").write_text("two\n")
    (tmp_path / "test_agent_jira_token").write_text("three")
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    named = {"TEST_AGENT_JIRA_TOKEN_FILE": str(tmp_path / "from-file")}

    assert read({"TEST_AGENT_JIRA_TOKEN": "one", **credentials}).jira_token.get_secret_value() == "one"
    assert read({**named, **credentials}).jira_token.get_secret_value() == "two"
    assert read(credentials).jira_token.get_secret_value() == "three"
    assert read({"CREDENTIALS_DIRECTORY": "/nonexistent"}).jira_token is None


def test_a_credential_directory_of_the_file_is_not_believed(env_file, tmp_path):
    (tmp_path / "test_agent_jira_token").write_text("three")
    assert read(env_file=env_file(f"CREDENTIALS_DIRECTORY={tmp_path}")).jira_token is None


def test_a_secret_from_two_places_is_an_error():
    error = fails({"TEST_AGENT_JIRA_TOKEN": CANARY, "TEST_AGENT_JIRA_TOKEN_FILE": "/x"})
    assert (error.variable, error.fix) == ("TEST_AGENT_JIRA_TOKEN", "keep one of the two")


@pytest.mark.parametrize("content", [None, b"\xff", bytes(65 * 1024)])
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path, content):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    error = fails({"TEST_AGENT_JIRA_TOKEN_FILE": str(path)})
    assert error.variable == "TEST_AGENT_JIRA_TOKEN_FILE"
    assert str(path) in error.problem


@pytest.mark.parametrize(
    ("name", "value"),
    [("COUNT", "x"), ("COUNT", "10"), ("COUNT", "9"), ("LEVEL", "loud"), ("ENABLED", "perhaps"), ("COUNT", CANARY)],
)
def test_a_wrong_value_is_told_with_its_variable_and_never_with_itself(name, value):
    assert fails({f"TEST_AGENT_{name}": value}).variable == f"TEST_AGENT_{name}"


def test_a_wrong_value_without_a_fix_of_its_own_is_told_what_the_variable_is_for():
    assert fails({"TEST_AGENT_COUNT": "many"}).fix == "it is for: how many there are"
    assert fails({"TEST_AGENT_LEVEL": "loud"}).fix == "correct it"


def test_a_variable_that_is_missing_is_named():
    error = fails(cls=Strict)
    assert (error.variable, error.problem) == ("TEST_AGENT_NEEDED", "is not set")


def test_settings_never_show_their_secrets():
    settings = read({"TEST_AGENT_JIRA_TOKEN": CANARY})
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_an_address_that_cannot_be_bound_names_variable_and_reason():
    error = cannot_bind("TEST_AGENT_LISTEN", "127.0.0.1:80", PermissionError(13, "x"))
    assert str(error).startswith("TEST_AGENT_LISTEN: 127.0.0.1:80 cannot be bound (Permission denied); ")
    assert "OSError" in cannot_bind("X", "y", OSError()).problem


def test_a_file_that_systemd_read_first_counts_again_at_a_reload(env_file, monkeypatch):
    path = env_file("TEST_AGENT_JIRA_URL=https://old\nTEST_AGENT_COUNT=4\nOTHER=x\n")
    # EnvironmentFile=, and one variable that somebody set apart from the file:
    for name, value in (("TEST_AGENT_JIRA_URL", "https://old"), ("TEST_AGENT_COUNT", "5"), ("OTHER", "x")):
        monkeypatch.setenv(name, value)
    follow_env_file(Settings, path)
    assert load(Settings, env_file=path).jira_url == "https://old"
    env_file("TEST_AGENT_JIRA_URL=https://new\nTEST_AGENT_COUNT=6\n")
    again = load(Settings, env_file=path)
    assert again.jira_url == "https://new"
    assert again.count == 5


def test_only_what_a_service_manager_says_is_passed_on(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    found = service_variables()
    assert found["NOTIFY_SOCKET"] == "/run/notify"
    assert found["LISTEN_FDS"] == "2"
    assert "WATCHDOG_USEC" not in found
    assert "PATH" not in found
