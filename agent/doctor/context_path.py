"""Finding Jira's base URL when the configured one is not it: candidates are tried on the same host, never elsewhere.

What leads elsewhere (a redirect to another host or scheme) is told, not followed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from agent.addresses import JiraAddress
from agent.doctor.jira_desk import JiraDesk
from http1.fetch import Fetched
from jira_api.readiness import INFO_PATH, NoAnswer
from jira_api.server_info import InvalidServerInfo, ServerInfo, parse_server_info

USUAL: Final = ("", "/jira")
MAX_TRIES: Final = 5
_OK: Final = 200
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Found:
    """Where Jira was found instead: its base URL as far as known, and what led there."""

    url: str
    because: str


async def read_info(desk: JiraDesk, context_path: str) -> tuple[ServerInfo | None, str, Fetched]:
    """Ask for serverInfo below a context path: what it says, or in one clause why not, and the answer itself.

    Raises:
        NoAnswer: there is no HTTP answer.
    """
    answer = await desk.ask(context_path.encode("ascii") + INFO_PATH)
    if answer.status != _OK:
        return None, f"{context_path}{INFO_PATH.decode()} was answered with status {answer.status}", answer
    try:
        return parse_server_info(answer.body), "", answer
    except InvalidServerInfo as invalid:
        return None, f"{context_path}{INFO_PATH.decode()} was answered, but {invalid.reason}", answer


async def find_jira(desk: JiraDesk, jira: JiraAddress, answer: Fetched) -> Found | None:
    """Look for Jira elsewhere on its host; `answer` is what serverInfo gave at the configured place."""
    try:
        root = await desk.ask(jira.context_path.encode("ascii") + b"/")
        base = await desk.ask(b"/")
    except NoAnswer:
        return None
    hints = [location(jira, each) for each in (answer, root, base)]
    for hint in filter(None, hints):
        if not hint.startswith(_origin(jira)):
            return Found(base_of(hint), f"this address leads to {hint}")
    paths = [context_of(jira, hint) for hint in hints if hint]
    for path in candidates(jira.context_path, paths):
        try:
            info, _, _ = await read_info(desk, path)
        except NoAnswer:
            return None
        if info is not None:
            return Found(f"{_origin(jira)}{path}", f"Jira {info.version} answers at {path or '/'}")
    return None


def candidates(configured: str, hinted: Iterable[str]) -> list[str]:
    """Return the context paths to try, the likeliest first: hints, parts of the configured one, the usual ones."""
    parts = configured.split("/")
    shorter = ["/".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]
    found = [path for path in dict.fromkeys([*hinted, *shorter, *USUAL]) if path != configured]
    return found[:MAX_TRIES]


def location(jira: JiraAddress, answer: Fetched) -> str:
    """Return where an answer leads to as an absolute URL, "" when it leads nowhere that can be read."""
    value = next((value for name, value in answer.headers if name.lower() == b"location"), b"")
    text = value.decode("latin-1")
    if answer.status not in _REDIRECTS or not text or not text.isascii() or not text.isprintable():
        return ""
    try:
        leads_to = urljoin(f"{_origin(jira)}/", text)
        return leads_to if urlsplit(leads_to).scheme in {"http", "https"} else ""
    except ValueError:
        return ""


def context_of(jira: JiraAddress, url: str) -> str:
    """Return the first part of a URL's path, which is where a servlet container puts Jira; "" for its root."""
    parts = url.removeprefix(_origin(jira)).partition("?")[0].split("/")
    return f"/{parts[1]}" if len(parts) > 2 and parts[1] not in {"secure", "login.jsp", "rest", ""} else ""


def base_of(url: str) -> str:
    """Return what a URL that leads into Jira says of its base: without the pages that Jira itself adds."""
    parts = urlsplit(url)
    path = parts.path
    for page in ("/secure", "/login", "/rest", "/status"):
        at = path.find(page)
        if at >= 0:
            path = path[:at]
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}"


def _origin(jira: JiraAddress) -> str:
    return f"{jira.scheme}://{jira.host_header}"
