"""Logs: one constant event name and fields per line, JSON unless a person reads them in a terminal.

Standard error only; systemd and containers take it from there. Whatever is logged, values of pydantic's
secret types print as stars, and nothing here unmasks them. What libraries say, and what ends the process, takes the
same form, so that every line of JSON logs is one object.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import structlog

from runtime.configuration import service_variables
from runtime.log_writer import LogWriter
from runtime.terminal import printable

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}
"""What journald takes off the begin of a line and keeps as its PRIORITY (sd-daemon(3))."""

Write = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Form:
    """How lines look: as JSON or for people, and whether journald reads them, which wants a priority first."""

    as_json: bool
    for_journal: bool = False

    @classmethod
    def of(cls, style: str) -> "Form":
        """Return the form of ``json``, ``console`` or ``auto`` (JSON unless standard error is a terminal)."""
        as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
        return cls(as_json, as_json and _is_journal())

    def prefix(self, level: str) -> str:
        """Return what goes before a line of this level."""
        return PRIORITIES.get(level, "<6>") if self.for_journal else ""


@dataclass(frozen=True, slots=True)
class LineSink:
    """Where a program may write lines of its own, in order with its logs and in their form."""

    form: Form
    write: Callable[[str], bool]
    """Takes a line with its end and never waits; False: there was no room for it."""


def configure(level: str = "info", style: str = "auto") -> None:
    """Send every log of the process to standard error.

    `level` is a key of `LEVELS`, `style` is one of `Form.of`.
    """
    _configure(level, Form.of(style), _write_now)


@contextmanager
def apart(level: str = "info", style: str = "auto") -> Iterator[LineSink]:
    """Configure logs that never wait for who reads them; the sink takes other lines too, in order with these.

    At the end everything is written out, unless its reader does not read, and logs are written directly again.
    """
    form = Form.of(style)

    def dropped(count: int) -> None:
        structlog.get_logger().warning("log_lines_dropped", count=count, reason="standard error was not read in time")

    with LogWriter(dropped=dropped) as writer:
        _configure(level, form, writer.add_urgent)
        try:
            yield LineSink(form, writer.add)
        finally:
            _configure(level, form, _write_now)


def _write_now(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def _configure(level: str, form: Form, write: Write) -> None:
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form.as_json:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    else:  # JSON escapes by itself
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        processors += [_printable, structlog.processors.format_exc_info, renderer]
    if form.for_journal:
        processors.append(lambda _, method, line: form.prefix(method) + str(line))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: Lines(write),
        cache_logger_on_first_use=False,
    )
    # Libraries speak only when something is wrong: their debug logs hold headers and frames, and so secrets.
    logging.basicConfig(handlers=[Libraries()], level=logging.WARNING, force=True)
    for name in ("websockets", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed if form.as_json else sys.__excepthook__


class Lines:
    """The last one to get a log of structlog: each is one line."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def msg(self, message: str) -> None:
        """Write one line."""
        self._write(message + "\n")

    debug = info = warning = error = critical = msg


class Libraries(logging.Handler):
    """What libraries say by the standard library's logging, as one of our lines: event `library`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        logger = structlog.get_logger()
        write = logger.error if record.levelno >= logging.ERROR else logger.warning
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit its text, which is all that can be shown
            text = str(record.msg)
        write("library", logger=record.name, text=text, exc_info=record.exc_info or None)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        structlog.get_logger().error("crashed", exc_info=(kind, error, trace))


def _is_journal() -> bool:
    """Say whether standard error is the stream that systemd made for journald, and was not redirected since."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return service_variables().get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _printable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take out of the fields what a terminal would obey."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value)
    return event
