"""Figures are what was measured, also after a way through JSON."""

import json

import pytest

from bench.figures import read
from tests.support.bench_runs import run


def test_figures_read_from_json_are_those_that_were_written(tmp_path):
    figures = run()
    figures.absent["broker"] = "npm not installed"
    figures.write(tmp_path / "results" / "last.json")
    assert read(tmp_path / "results" / "last.json") == figures
    assert json.loads((tmp_path / "results" / "last.json").read_text())["schema"] == 1


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 0}', "no json"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"schema|Expecting"):
        read(tmp_path / "x.json")


def test_cpu_of_a_round_is_that_of_all_processes_and_none_where_none_was_measured():
    figures = run(2)
    assert figures.series("ours", "small@16", "cpu") == [80.0, 80.0]
    assert figures.series("direct", "small@16", "cpu") == []


def test_what_was_not_measured_has_no_rounds():
    figures = run()
    assert figures.series("nobody", "small@16", "p99") == figures.series("broker", "close@1", "p99") == []
    assert figures.bulk("nobody", "download") == figures.rss("nobody", "idle", "agent") == []
