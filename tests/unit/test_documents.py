"""What the documents name must exist: variables, commands, options, paths, make targets, links, and the generated tables.

And what the sources name in the documents: sections, rows of the facts, whole files.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agent.__main__ import app as agent_app
from agent.settings import AgentSettings
from certs.__main__ import app as certs_app
from gateway.__main__ import app as gateway_app
from gateway.settings import GatewaySettings
from tests.support import error_table, metric_tables
from tests.support.demo_jira import VARIABLES
from tests.support.settings_tables import DOCUMENT, variables, with_tables
from tunnel.errors import ErrorCode

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
FACTS = PROJECT / "docs" / "facts.md"
PROGRAMS = {"jira-agent": agent_app, "jira-gateway": gateway_app, "jira-certs": certs_app}
COMMANDS = {name: typer.main.get_command(app) for name, app in PROGRAMS.items()}
FOLDERS = "agent|bench|certs|docs|examples|gateway|http1|jira_api|ops|packaging|requirements|runtime|tests|tunnel"
SOURCES = sorted(
    path
    for path in (
        PROJECT / "Makefile",
        PROJECT / "pyproject.toml",
        *(found for folder in FOLDERS.split("|") for found in (PROJECT / folder).rglob("*.py")),
    )
    if "node_modules" not in path.parts
)
# Named in the documents as made by a command, and not part of the sources.
MADE = {"bench/accepted.json", "bench/results/last.json", "bench/results/events.json"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
_COMMAND = re.compile(rf"(?:^|\$ |\s)((?:{'|'.join(PROGRAMS)}) .+)")
# A place in a document: `docs/contract.md §3.1, §4`, `docs/facts.md J3 and J8.1`, `docs/api.md`.
_PLACE = re.compile(r"docs/([\w./-]*\w)((?:(?:,| and| to)?\s+§?[A-Z]?\d+(?:\.\d+)?\b)*)")
# Plans, notes and tickets that a stranger does not have.
_NOT_HERE = re.compile(
    r"\b(?:desig[n]|trap[s]|per[f]|styl[e]|jira-fact[s]|la[b])\.md\b|\bjira-fact[s]\b|\btrap[s] §"
    r"|\bdesig[n](?:'s|,)?\s+(?:§|section|contract)|\bissue \d|\b(?:the|design) brie[f]\b|\bbrie[f] [§\d]",
    re.IGNORECASE,
)
_PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*)")


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_lines(text: str) -> Iterator[str]:
    """Every line of a block and every inline piece of code; continued lines are joined, comments cut off."""
    for language, block in _FENCE.findall(text):
        if language == "text":  # a picture
            continue
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s#.*", "", line)
    yield from _CODE.findall(_FENCE.sub("", text))


def command_lines(text: str) -> Iterator[str]:
    for line in code_lines(text):
        found = _COMMAND.search(line)
        if found:
            yield from (
                part.strip() for part in re.split(r"&&|\|", found[1]) if part.strip().startswith(tuple(PROGRAMS))
            )


def slugs(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them, and those that stand in it."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | anchors(text)


def anchors(text: str) -> set[str]:
    return set(re.findall(r'<a id="([\w.]+)"></a>', text))


@cache
def places(document: Path) -> frozenset[str]:
    """What can be pointed at in a document: `§3.1` for a numbered heading, `L9` for an anchor."""
    text = read(document)
    numbers = re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", _FENCE.sub("", text), re.MULTILINE)
    return frozenset(anchors(text) | {f"§{number}" for number in numbers})


def wrong_places(text: str) -> list[str]:
    """The places named in a source that are not there."""
    wrong = []
    for name, inside in _PLACE.findall(text):
        document = PROJECT / "docs" / name
        if not document.exists():
            wrong.append(name)
            continue
        named = re.findall(r"§?[A-Z]?\d+(?:\.\d+)?", inside)
        wrong += [f"{name} {place}" for place in named if place not in places(document)]
    return wrong


def is_group(command: Any) -> bool:
    return hasattr(command, "commands")


def check_command(line: str) -> None:
    program, *words = shlex.split(line.replace("'", "") if line.count("'") % 2 else line)
    command = COMMANDS[program]
    for word in words:
        if word.startswith("--"):
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            assert word.partition("=")[0] in options | {"--help"}, f"{line}: no option {word}"
        elif is_group(command):
            assert word in command.commands, f"{line}: no command {word}"
            command = command.commands[word]
    assert not is_group(command) or not words or words == ["--help"], f"{line}: not a whole command"


def test_the_documents_were_found():
    names = {name_of(path) for path in DOCUMENTS}
    assert {"README.md", "ARCHITECTURE.md", "docs/protocol.md", "docs/decisions/0001-layout.md"} <= names


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_variable_exists(document):
    known = set(variables()) | set(VARIABLES) | set(ErrorCode.__members__)
    named = set(re.findall(r"\bJIRA_[A-Z_]+\b", read(document)))
    assert named <= known, sorted(named - known)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_and_option_exists(document):
    for line in command_lines(read(document)):
        check_command(line)


def test_commands_are_found_and_wrong_ones_noticed():
    assert len([line for document in DOCUMENTS for line in command_lines(read(document))]) > 30
    for wrong in ("jira-agent doctors", "jira-gateway agents", "jira-gateway agents invite x --tll 1h"):
        with pytest.raises(AssertionError):
            check_command(wrong)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_exists(document):
    for code in _CODE.findall(_FENCE.sub("", read(document))):
        for path in _PATH.findall(code):
            assert path in MADE or (PROJECT / path.rstrip(".")).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document):
    for link in _LINK.findall(_FENCE.sub("", read(document))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in slugs(read(target)), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", read(PROJECT / "Makefile"), re.MULTILINE))
    named = {match for line in code_lines(read(document)) for match in re.findall(r"\bmake ([a-z]+)", line)}
    assert named <= targets, sorted(named - targets)


def test_the_settings_tables_are_current():
    assert read(DOCUMENT) == with_tables(read(DOCUMENT)), "run make docs"


def test_the_metric_tables_are_current():
    document = metric_tables.DOCUMENT
    assert read(document) == metric_tables.with_tables(read(document)), "run make docs"


@pytest.mark.parametrize("settings", [AgentSettings, GatewaySettings])
def test_every_setting_has_an_effect(settings):
    folder = PROJECT / settings.__module__.partition(".")[0]
    text = "".join(read(path) for path in folder.rglob("*.py") if path.name != "settings.py")
    unread = [name for name in settings.model_fields if not re.search(rf"settings\.{name}\b", text)]
    judged = {name for name in unread if f"self.{name}" in read(folder / "settings.py")}  # it decides what may be set
    assert set(unread) == judged


def test_the_error_table_of_the_contract_is_current():
    document = error_table.DOCUMENT
    assert read(document) == error_table.with_table(read(document)), "run make docs"


def test_the_error_table_of_the_callers_is_the_one_of_the_code():
    ours = {(slug.name, slug.status) for slug in error_table.slugs()}
    table = read(PROJECT / "docs" / "clients.md").partition("<!-- errors")[2]
    written = {(name, int(status)) for name, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE)}
    assert written == ours


def test_sources_name_no_document_that_is_not_here():
    for path in [*SOURCES, *DOCUMENTS]:
        found = _NOT_HERE.search(read(path))
        assert found is None, f"{name_of(path)}: {found[0]!r} says nothing to a stranger; name a place in docs/"


def test_every_place_that_sources_name_in_the_documents_exists():
    for path in SOURCES:
        assert not wrong_places(read(path)), f"{name_of(path)}: {wrong_places(read(path))}"


def test_places_are_found_and_wrong_ones_noticed():
    assert {"§3.6", "§4"} <= places(error_table.DOCUMENT)
    assert {"L9", "J8.1"} <= places(FACTS)
    assert sum(len(_PLACE.findall(read(path))) for path in SOURCES) > 50
    assert wrong_places("docs" + "/contract.md §3.6, §99") == ["contract.md §99"]
    assert wrong_places("docs" + "/facts.md J3 and\n  J77") == ["facts.md J77"]
    assert wrong_places("docs" + "/nothing.md") == ["nothing.md"]
    for text in (
        "desig" + "n §4.3",
        "see trap" + "s.md L9",
        "brie" + "f 4.4",
        "after issue" + " 2",
        "jira-fact" + "s 3",
    ):
        assert _NOT_HERE.search(text), text


def test_every_test_that_the_facts_name_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", read(FACTS))
    assert len(named) > 30
    for path, test in named:
        assert f"def {test}(" in read(PROJECT / path), f"{path}::{test}"


def test_every_fact_has_a_number_of_its_own():
    numbers = re.findall(r'^\| <a id="([\w.]+)"></a>([\w.]+) \|', read(FACTS), re.MULTILINE)
    assert all(anchor == shown for anchor, shown in numbers)
    assert len(set(numbers)) == len(numbers) == len(re.findall("<a id", read(FACTS)))
