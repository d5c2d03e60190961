"""A request for a change that is refused because of what it says, in words that fit every way of asking. Pure.

A problem names fields as `{field}`: the commands show them as flags (`--base-url`), the management API as they are.
"""

from collections.abc import Mapping


class Unacceptable(ValueError):
    """What was asked for contradicts itself or a rule; `field` is the one to look at first."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return self.text({})

    def text(self, names: Mapping[str, str]) -> str:
        """Return the problem in one line; a field without a name in `names` shows its own."""
        return self.problem.format_map(_Names(names))


def literally(text: str) -> str:
    """Return text of somebody else so that braces in it name no field."""
    return text.replace("{", "{{").replace("}", "}}")


class _Names(dict[str, str]):
    def __missing__(self, field: str) -> str:
        return field
