"""Errors become one line and a status; the statuses are the contract's."""

import pytest
import typer

from runtime import exits
from runtime.exits import CommandFailed, run_command


def app_with(command):
    app = typer.Typer()
    app.command("go")(command)
    app.command("other")(lambda: None)
    return app


def test_the_statuses_are_those_of_the_contract():
    assert (exits.OK, exits.DENIED, exits.USAGE, exits.UNAVAILABLE, exits.CONFIGURATION) == (0, 1, 2, 69, 78)


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1), ("text", 0)])
def test_what_a_command_returns_is_its_status(result, status):
    assert run_command(app_with(lambda: result), "prog", ["go"]) == status


@pytest.mark.parametrize("status", [None, 69, 78])
def test_a_failed_command_is_one_line_on_standard_error(capsys, status):
    def command():
        raise CommandFailed("nothing is running; start it", status)

    assert run_command(app_with(command), "prog", ["go"]) == (status or 1)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "prog: nothing is running; start it\n")


@pytest.mark.parametrize("words", [["nope"], ["go", "--nope"], ["go", "extra"]])
def test_wrong_usage_is_2_and_shows_itself(capsys, words):
    assert run_command(app_with(lambda: None), "prog", words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_help_is_no_failure(capsys):
    assert run_command(app_with(lambda: None), "prog", ["--help"]) == 0
    assert "go" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (typer.Abort, 130), (BrokenPipeError, 0)])
def test_interruptions(error, status):
    def command():
        raise error

    assert run_command(app_with(command), "prog", ["go"]) == status


def test_a_bug_is_not_hidden():
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(app_with(command), "prog", ["go"])
