"""The event loop of both programs."""

import asyncio
import gc

from runtime.lean import load_lean
from runtime.loop import run


def test_it_runs_on_uvloop_and_returns_the_result():
    async def main():
        return type(asyncio.get_running_loop()).__module__

    assert run(main()) == "uvloop"


def test_another_allocator_is_no_reason_to_fail(monkeypatch):
    def refuse(_name):
        raise OSError

    async def main():
        return 7

    monkeypatch.setattr("runtime.loop.ctypes.CDLL", refuse)
    assert run(main()) == 7


def test_what_was_switched_off_while_modules_were_loaded_is_on_again():
    async def main():
        return gc.isenabled()

    load_lean()
    assert not gc.isenabled()
    assert run(main())
