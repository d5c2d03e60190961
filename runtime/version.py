"""Which release this is, from the installed distribution's metadata."""

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """Return the version of jira-tunnel, such as ``0.1.0``."""
    try:
        return version("jira-tunnel")
    except PackageNotFoundError:
        return "0+unknown"
