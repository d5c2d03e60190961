"""The two lists of request targets: what real clients send, and what must never pass."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def legitimate_targets() -> list[bytes]:
    """Return the targets (below Jira's base URL) that read-only must allow for GET, byte for byte."""
    return [line.encode("ascii") for line in _rows("legitimate_targets.txt")]


def bypass_requests() -> list[tuple[bytes, bytes]]:
    """Return (method, target) pairs that must be refused or denied."""
    pairs = (line.partition(" ") for line in _rows("bypass_targets.txt"))
    return [(method.encode(), _unescaped(target)) for method, _, target in pairs]


def _rows(name: str) -> list[str]:
    lines = (_FOLDER / name).read_text("ascii").splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


def _unescaped(target: str) -> bytes:
    return target.encode("ascii").decode("unicode_escape").encode("latin-1")
