"""The blocks of docs/clients.md that configure a client, run as they are written, with another address."""

import contextlib
import io
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[2] / "docs" / "clients.md"
WRITTEN_URL = "https://gateway.example.com/jira/"
_BLOCK = re.compile(r"^```(sh|python|js)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(connection: str) -> list[tuple[str, str]]:
    """(language, text) of every block that addresses this connection."""
    found = _BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    return [block for block in found if re.search(re.escape(WRITTEN_URL + connection) + r"\b", block[1])]


def run(language: str, text: str, connection: str, url: str, environment: Mapping[str, str]) -> str:
    """Run a block against `url`; what it printed."""
    return _RUNNERS[language](text.replace(WRITTEN_URL + connection, url), environment)


def _python(text: str, environment: Mapping[str, str]) -> str:
    output = io.StringIO()
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(text, str(DOCUMENT), "exec"), {})
    finally:
        os.environ.clear()
        os.environ.update(before)
    return output.getvalue()


def _js(text: str, environment: Mapping[str, str]) -> str:
    preload = str(FOLDER / "localhost_names.cjs")
    return _process(["node", "--require", preload, "--input-type=module", "-"], text, environment)


def _sh(text: str, environment: Mapping[str, str]) -> str:
    return _process(["sh", "-eu", "-s"], text, environment)


def _process(command: list[str], text: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env={**os.environ, **environment},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_RUNNERS: dict[str, Callable[[str, Mapping[str, str]], str]] = {"python": _python, "js": _js, "sh": _sh}
