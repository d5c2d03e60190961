"""What a long-running program can do without, left out of its memory before it is imported."""

import gc
import sys
from importlib import import_module


def load_lean() -> None:
    """Call it first in a ``run`` command, before the whole program is imported.

    While modules are loaded nothing is garbage: to look for it is a tenth of the gateway's start. `runtime.loop`
    begins to collect.
    """
    gc.disable()
    import_structlog_lean()


def import_structlog_lean() -> None:
    """Import structlog without rich: it loads 5 MiB for colourful tracebacks where it finds it (typer brings it).

    Call it before anything imports structlog. Where rich is loaded already there is nothing to save.
    """
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # how the import system is told that there is no such module
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]
