"""One search at Jira, page after page: whole issues, each state of each once, though the set moves meanwhile.

Pages are counted from the start of a set that is sorted by the last change, so an issue that changes in between leaves
its place, and the rest moves up by one (docs/facts.md J4.1). So each page begins with the last ones of the page before:
when the first of them is new, something was passed over, and the search goes back by a page. A page that is too large,
or takes too long, is asked for again in smaller ones.
"""

from collections.abc import Container
from typing import Any, Final

from gateway.errors import JIRA_PROTOCOL, JIRA_TIMEOUT, RATE_LIMITED, Problem
from gateway.events.jira_client import JiraAnswer, JiraClient, JiraSilent, in_words
from jira_api.events.fields import is_dense
from jira_api.events.requesting import JiraRequest
from jira_api.events.sweeping import (
    InvalidPage,
    Page,
    comments_of,
    incomplete_parts,
    read_page,
    search,
    with_comments,
    with_worklogs,
    worklogs_of,
)
from jira_api.server_info import ServerInfo

PAGE: Final = 50
SEARCH_SECONDS: Final = 60.0
MAX_PARTS: Final = 20  # pages of comments or worklogs of one issue
MAX_PART_BYTES: Final = 32 << 20  # after so many what is complete goes first; no issue has more
MAX_PAGES: Final = 10_000
MAX_MOMENT: Final = 40  # characters; Jira's dates have fewer
OVERLAP: Final = 5
MAX_STEPS_BACK: Final = 100

_TOO_MUCH: Final = (JIRA_PROTOCOL, JIRA_TIMEOUT)
_OK, _BAD, _GONE, _TOO_MANY = 200, 400, 404, 429

Issue = dict[str, Any]


class QueryRefused(Exception):
    """Jira does not accept the query; `reason` is what it says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Search:
    """The issues of one query; those in a state of `known` are not completed again.

    `next` raises `QueryRefused` and `JiraSilent`.
    """

    def __init__(
        self, client: JiraClient, server: ServerInfo, jql: str, known: Container[tuple[str, str]] = frozenset()
    ) -> None:
        self._client = client
        self._server = server
        self._jql = jql
        self._known = known
        self._size = PAGE
        self._start: int | None = 0
        self._token: str | None = None
        self._steps_back = 0
        self._is_lapped = False  # the next page begins with issues of the one before
        self._pages = 0
        self._rest: list[Issue] = []  # of the last page, not completed yet
        self._part_bytes = 0
        self._seen: set[int] = set()  # hashes of states: half a million may come

    def __repr__(self) -> str:
        return f"<Search {self._client.entry.name} {len(self._seen)} issues>"

    async def next(self) -> list[Issue] | None:
        """Return more issues, None after the last."""
        if not self._rest and self._start is None and self._token is None:
            return None
        self._rest = self._rest or await self._fresh()
        whole: list[Issue] = []
        self._part_bytes = 0
        while len(whole) < len(self._rest) and self._part_bytes <= MAX_PART_BYTES:
            issue = self._rest[len(whole)]
            whole.append(issue if state_of(issue) in self._known else await self._whole(issue))
        self._rest = self._rest[len(whole) :]
        return whole

    async def _fresh(self) -> list[Issue]:
        """Return those of the next page that were not seen in this state."""
        self._pages += 1
        if self._pages > MAX_PAGES:
            raise JiraSilent(Problem(JIRA_PROTOCOL, f"its search has no end after {MAX_PAGES} pages"))
        page = await self._page()
        is_next = not self._is_lapped or (bool(page.issues) and hash(state_of(page.issues[0])) in self._seen)
        fresh = [issue for issue in page.issues if hash(state_of(issue)) not in self._seen]
        self._seen.update(hash(state_of(issue)) for issue in fresh)
        self._go_on(page, is_next=is_next)
        return fresh

    def _go_on(self, page: Page, *, is_next: bool) -> None:
        start, following = self._start, page.next_start
        if self._server.is_cloud or start is None:
            self._start, self._token = None, page.next_token
        elif not is_next and self._steps_back < MAX_STEPS_BACK:
            self._steps_back += 1
            self._start = max(0, start - self._size)
            self._is_lapped = self._start > 0
        elif following is None:
            self._start = None
        else:
            # Never on the spot: a page of one issue has no room for one of the page before.
            self._start = max(following - min(OVERLAP, self._size // 2), start + 1)
            self._is_lapped = self._start < following

    async def _page(self) -> Page:
        while True:
            request = search(self._server, self._jql, start=self._start or 0, token=self._token, page=self._size)
            try:
                answer = await self._client.send_as_account(request, seconds=SEARCH_SECONDS)
            except JiraSilent as silent:
                if silent.problem.slug not in _TOO_MUCH or self._size == 1:
                    raise
                self._size = max(1, self._size // 4)
                continue
            if answer.status == _BAD:
                raise QueryRefused(in_words(answer))
            _check(answer)
            try:
                return read_page(answer.body)
            except InvalidPage as invalid:
                if self._size > 1 and is_dense(answer.body):
                    self._size = max(1, self._size // 4)
                    continue
                raise JiraSilent(Problem(JIRA_PROTOCOL, f"its search cannot be read: {invalid.reason}")) from None

    async def _whole(self, issue: Issue) -> Issue:
        """Return an issue with all its comments and worklogs; a search lists only some of them."""
        needs_comments, needs_worklogs = incomplete_parts(issue)
        number = str(issue["id"])
        if needs_comments:
            issue = await self._with_part(issue, number, is_comments=True)
        if needs_worklogs:
            issue = await self._with_part(issue, number, is_comments=False)
        return issue

    async def _with_part(self, issue: Issue, number: str, *, is_comments: bool) -> Issue:
        """Ask for comments or worklogs until none are missing; those of an issue that is gone by now do not matter."""
        start = held = 0
        ask, add = (comments_of, with_comments) if is_comments else (worklogs_of, with_worklogs)
        for _ in range(MAX_PARTS):
            body = await self._part(ask(number, start))
            held += len(body or b"")
            self._part_bytes += len(body or b"")
            if body is None or held > MAX_PART_BYTES:
                return issue
            try:
                issue = add(issue, body)
            except InvalidPage as invalid:
                raise JiraSilent(Problem(JIRA_PROTOCOL, f"an issue cannot be read: {invalid.reason}")) from None
            listed = len(
                issue["fields"]["comment"]["comments"] if is_comments else issue["fields"]["worklog"]["worklogs"]
            )
            if not incomplete_parts(issue)[0 if is_comments else 1] or listed <= start:
                return issue
            start = listed
        return issue

    async def _part(self, request: JiraRequest) -> bytes | None:
        answer = await self._client.send_as_account(request, seconds=SEARCH_SECONDS)
        if answer.status == _GONE:
            return None
        _check(answer)
        return answer.body


def _check(answer: JiraAnswer) -> None:
    if answer.status == _TOO_MANY:
        told = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
        seconds = int(told) if told.isdigit() and len(told) < 6 else None
        raise JiraSilent(Problem(RATE_LIMITED, "Jira's rate limit is met.", retry_after=seconds))
    if answer.status != _OK:
        raise JiraSilent(Problem(JIRA_PROTOCOL, f"its search failed: {in_words(answer)}"))


def state_of(issue: Issue) -> tuple[str, str]:
    """Return what tells one state of an issue from the next: its id and when it was last changed."""
    fields = issue.get("fields")
    updated = fields.get("updated") if isinstance(fields, dict) else None
    return str(issue["id"]), updated[:MAX_MOMENT] if isinstance(updated, str) else ""
