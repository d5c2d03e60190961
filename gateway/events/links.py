"""Links in events, made to lead to the gateway as those in answers do: once, before an event is stored.

What a link is is jira_api's knowledge. Where this connection's Jira is comes from its agent's announcements or from its
direct connection's settings, as for answers (gateway.answer).
"""

from collections.abc import Callable

from gateway.direct_links import DirectConnections
from gateway.directory import Directory
from gateway.registry import Registry
from jira_api.links import LinkRewriter


class Links:
    """Rewrites the bodies of events. `public_url` has no trailing slash."""

    def __init__(
        self, directory: Callable[[], Directory], registry: Registry, direct: DirectConnections, public_url: str
    ) -> None:
        self._directory = directory
        self._registry = registry
        self._direct = direct
        self._public_url = public_url.encode()
        self._made: dict[str, tuple[tuple[bytes, ...], LinkRewriter]] = {}  # by connection

    def __repr__(self) -> str:
        return f"<Links {self._public_url!r} {sorted(self._made)}>"

    def rewritten(self, connection: str, body: bytes) -> bytes:
        """Return a JSON body whose links lead to this connection at the gateway, as far as it wants that."""
        entry = self._directory().connection(connection)
        if entry is None or not entry.rewrite_links:
            return body
        settings = self._direct.settings(entry) if entry.agent is None else self._registry.settings(entry.agent)
        origins = tuple(settings[key] for key in (b"jira-url", b"jira-base-url") if settings.get(key))
        if not origins:
            return body  # nobody has said yet where this Jira is
        rewriter = self._rewriter(connection, origins).stream(b"")
        return rewriter.feed(body) + rewriter.finish()

    def _rewriter(self, connection: str, origins: tuple[bytes, ...]) -> LinkRewriter:
        made = self._made.get(connection)
        if made is None or made[0] != origins:
            rewriter = LinkRewriter(origins, b"%b/jira/%b" % (self._public_url, connection.encode()))
            made = self._made[connection] = origins, rewriter
        return made[1]
