"""Leaving a program's outermost TaskGroup: on purpose, or by the one error that a person should read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from runtime.exits import CommandFailed


class _Leave(Exception):
    """The way out of the group; `TaskGroup.cancel` exists in no Python that we support."""


def leave_group() -> NoReturn:
    """End the group that `leaving_group` surrounds; its other tasks are cancelled."""
    raise _Leave


@contextmanager
def leaving_group() -> Iterator[None]:
    """Surround the outermost TaskGroup: `leave_group` ends it quietly.

    A `CommandFailed` of any task comes out alone, so that a start that cannot succeed ends in one line.
    Anything else comes out as the group that it is.
    """
    failure: CommandFailed | None = None
    try:
        yield
    except* _Leave:
        pass
    except* CommandFailed as group:
        failure = _first(group)
    if failure is not None:
        raise failure


def _first(group: BaseExceptionGroup[CommandFailed]) -> CommandFailed:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, CommandFailed)  # noqa: S101 - that is what the group was split by
    return first
