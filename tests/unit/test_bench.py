"""The benchmarks, which `make test` does not run, still fit what they measure."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import accepted
from bench.figures import Figures, read
from bench.run import Extent
from tests.support.bench_runs import run

PROJECT = Path(__file__).resolve().parents[2]
FILES = [path.relative_to(PROJECT).with_suffix("") for path in (PROJECT / "bench").rglob("*.py")]
MODULES = sorted(".".join(path.parts) for path in FILES)


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    return command.main()


def test_there_are_benchmarks():
    assert {"bench.__main__", "bench.events", "bench.wan.__main__"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_benchmark_finds_all_that_it_imports(module):
    importlib.import_module(module)


def test_the_command_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 0
    for word in ("bench-check", "--quick", "--only", "--rounds", "--seconds", "--json", "--accept", "nginx-light"):
        assert word in done.stdout


def test_a_check_without_an_accepted_run_says_how_to_make_one(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(accepted, "FILE", tmp_path / "accepted.json")
    assert _run(monkeypatch, "--check") == 69
    assert "make bench ACCEPT=1" in capsys.readouterr().err


def test_missing_tools_are_named_with_their_packages(monkeypatch, capsys):
    monkeypatch.setattr(command, "tool", lambda name: None if name in {"wrk", "nginx"} else name)
    assert _run(monkeypatch) == 69
    assert "apt-get install --no-install-recommends nginx-light wrk" in capsys.readouterr().err


def test_without_ssh_the_rest_is_measured_and_the_table_says_so(monkeypatch, tmp_path, capsys):
    asked = []

    def measured(_: Path, extent: Extent) -> Figures:
        asked.append(extent)
        figures = run(1)
        figures.systems = {name: found for name, found in figures.systems.items() if name in extent.names}
        return figures

    monkeypatch.setattr(command, "tool", lambda name: None if name == "sshd" else name)
    monkeypatch.setattr(command, "run", measured)
    assert _run(monkeypatch, "--quick", "--json", str(tmp_path / "x.json")) == 0
    assert asked == [Extent(("direct", "nginx", "ours"), 1, 1.0, idle_link=False)]
    assert "Not measured: ssh -R: needs openssh-server: apt-get install" in capsys.readouterr().out
    assert read(tmp_path / "x.json").absent.keys() == {"ssh", "ssh-gcm"}


@pytest.mark.parametrize(
    "words",
    [
        ("--rounds", "0"),
        ("--only", "telnet"),
        ("--check", "--rounds", "2"),
        ("--accept", "--quick"),
        ("--accept", "--only", "ours,ssh"),
        ("--accept", "--check"),
    ],
)
def test_options_that_make_no_sense_are_refused(monkeypatch, words):
    with pytest.raises(SystemExit) as end:
        _run(monkeypatch, *words)
    assert end.value.code == 2


def test_a_stored_run_is_accepted_and_a_worse_one_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(accepted, "FILE", tmp_path / "accepted.json")
    figures, file = run(), tmp_path / "run.json"
    figures.write(file)
    assert _run(monkeypatch, "--read", str(file), "--accept") == 0
    assert _run(monkeypatch, "--read", str(file), "--check") == 0
    assert "no regression" in capsys.readouterr().out
    figures.systems["ours"].bulk["upload"] = [150.0] * 3
    figures.write(file)
    assert _run(monkeypatch, "--read", str(file), "--check") == 1
    assert "REGRESSION: upload / ssh -R aes128-gcm: from 1 to 0.5" in capsys.readouterr().out


def test_a_run_of_too_few_rounds_is_not_accepted(monkeypatch, tmp_path):
    monkeypatch.setattr(accepted, "FILE", tmp_path / "accepted.json")
    run(2).write(tmp_path / "run.json")
    assert _run(monkeypatch, "--read", str(tmp_path / "run.json"), "--accept") == 2
    assert not accepted.FILE.exists()


def test_files_that_are_no_runs_are_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(accepted, "FILE", tmp_path / "accepted.json")
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert _run(monkeypatch, "--read", str(other)) == 2
    assert _run(monkeypatch, "--read", str(tmp_path / "none.json")) == 69
    assert "there is no" in capsys.readouterr().err
