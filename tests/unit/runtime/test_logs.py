"""Logs: one line per event on standard error, and no secret in it."""

import json
import logging

import pytest
import structlog
from pydantic import SecretStr

from runtime import logs


@pytest.fixture(autouse=True)
def restored():
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def test_a_line_is_json_unless_a_person_reads_it(capsys):
    logs.configure("info", "auto")
    structlog.get_logger().warning("link_down", agent="hq", reason="a\nb")
    line = capsys.readouterr().err

    assert line.count("\n") == 1
    content = json.loads(line)
    assert (content["event"], content["level"], content["agent"]) == ("link_down", "warning", "hq")
    assert content["timestamp"].endswith("Z")


def test_secrets_print_as_stars(capsys):
    logs.configure("debug", "json")
    structlog.get_logger().info("x", token=SecretStr("canary"), nested={"a": SecretStr("canary")})
    captured = capsys.readouterr()
    assert "canary" not in captured.err + captured.out
    assert "***" in captured.err


def test_what_is_below_the_level_is_not_written(capsys):
    logs.configure("warning", "json")
    structlog.get_logger().info("x")
    assert capsys.readouterr().err == ""


def test_a_traceback_stays_on_its_line(capsys):
    logs.configure("info", "json")
    try:
        1 / 0  # noqa: B018 - the error is what is wanted
    except ZeroDivisionError:
        structlog.get_logger().exception("crashed")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_the_console_format_is_for_people(capsys):
    logs.configure("info", "console")
    structlog.get_logger().info("gateway_ready")
    assert "gateway_ready" in capsys.readouterr().err


def test_no_field_commands_the_terminal_of_who_reads_along(capsys):
    logs.configure("info", "console")
    structlog.get_logger().info("x", reason="a\x1b]0;owned\x07", other="two words\x1b[2J")
    line = capsys.readouterr().err
    assert "\x1b" not in line
    assert "\x07" not in line
