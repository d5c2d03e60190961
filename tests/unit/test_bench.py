"""The benchmarks, which `make test` does not run, still fit what they measure."""

import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MODULES = sorted(f"bench.{path.stem}" for path in (PROJECT / "bench").glob("*.py"))


def test_there_are_benchmarks():
    assert {"bench.__main__", "bench.events"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_benchmark_finds_all_that_it_imports(module):
    importlib.import_module(module)
