"""Text for a person's terminal, part of which others wrote: agents, gateways, Jiras. Pure."""

from typing import Final

_STAND_IN: Final = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """Return `text` with a stand-in for everything that a terminal would obey or could not show; its lines stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else _STAND_IN for letter in text)
