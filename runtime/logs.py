"""Logs: one constant event name and fields per line, JSON unless a person reads them in a terminal.

Standard error only; systemd and containers take it from there. Whatever is logged, values of pydantic's
secret types print as stars, and nothing here unmasks them.
"""

import logging
import sys

import structlog

from runtime.terminal import printable

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str = "info", style: str = "auto") -> None:
    """Send every log of the process to standard error.

    `level` is a key of `LEVELS`. `style` is ``json``, ``console`` or ``auto`` (JSON unless standard error is
    a terminal).
    """
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    for_people: list[structlog.typing.Processor] = [] if as_json else [_printable]  # JSON escapes by itself
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *for_people,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries speak only when something is wrong: their debug logs hold headers and frames, and so secrets.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    for name in ("websockets", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _printable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take out of the fields what a terminal would obey."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value)
    return event
