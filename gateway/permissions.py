"""The permission report of a connection's account: asks Jira step by step through the connection, then judges.

What is asked and what the answers mean is jira_api.permissions' knowledge; here is the order of the requests, their
deadline, and the promise that a refused login is never tried twice: the first one ends the interview.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from gateway.directory import ConnectionEntry, Directory
from gateway.errors import Problem
from gateway.probe import OK, JiraProbe, PickDirect, ProbeAnswer
from gateway.registry import Registry
from gateway.store import Credentials
from jira_api.logins import BY_SLUG, LoginVerdict, classify_login
from jira_api.permissions import account as read
from jira_api.permissions import inquiry
from jira_api.permissions.account import Account, Sight
from jira_api.permissions.inquiry import InvalidSubject, Subject
from jira_api.permissions.judgement import Cause, Finding, judge_all
from jira_api.permissions.report import Step, report
from jira_api.server_info import InvalidServerInfo, parse_server_info
from runtime.exits import UNAVAILABLE, USAGE, CommandFailed

REPORT_SECONDS: Final = 40.0
STEP_SECONDS: Final = 10.0
MAX_ROLES: Final = 4  # whose members are looked up
NO_LOGIN: Final = "each caller brings its own login to this connection; there is no account to report on"

_ADMINISTRATORS: Final = ("ADMINISTER", "SYSTEM_ADMIN", "ADMINISTER_PROJECTS")
_GOOD_LOGINS: Final = frozenset({None, LoginVerdict.OK, LoginVerdict.ANONYMOUS})


class ReportImpossible(Exception):
    """Nothing can be said: `problem` is what kept Jira from answering, None when the connection has no account."""

    def __init__(self, reason: str, problem: Problem | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem


class _LoginFailed(Exception):
    """The login was refused: not one more request with it."""


class Asker(Protocol):
    """Who sends the GETs (`gateway.probe.JiraProbe`)."""

    connection: ConnectionEntry

    async def get(self, target: bytes, seconds: float = ...) -> ProbeAnswer:
        """Return Jira's answer, or our problem."""


async def permission_report(asker: Asker, subject: Subject, needs: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the connection's account may do, why not, and who could change that (see jira_api report).

    Raises:
        ReportImpossible: the connection has no account of its own, or Jira cannot be asked.
    """
    connection = asker.connection
    if connection.credentials is Credentials.CALLER:
        raise ReportImpossible(NO_LOGIN)
    interview = Interview(asker, subject, needs)
    try:
        async with asyncio.timeout(REPORT_SECONDS):
            await interview.run()
    except TimeoutError:
        interview.steps.append(Step("", 0, f"not everything was answered within {REPORT_SECONDS:g} s"))
    return {"connection": connection.name, **report(interview.account, subject, needs, interview.steps)}


async def permissions_command(
    arguments: dict[str, Any], directory: Directory, registry: Registry, pick_direct: PickDirect
) -> dict[str, Any]:
    """Serve the control socket's `permissions`; raises `CommandFailed`."""
    name = str(arguments.get("name", ""))
    connection = directory.connection(name)
    if connection is None:
        raise CommandFailed(f"there is no connection {name}; see jira-gateway connections list")
    try:
        subject = inquiry.read_subject(arguments.get("project"), arguments.get("issue"))
        needs = inquiry.read_needs(str(arguments.get("need") or ""))
        return await permission_report(JiraProbe(connection, registry, pick_direct), subject, needs)
    except InvalidSubject as invalid:
        raise CommandFailed(str(invalid), USAGE) from None
    except ReportImpossible as impossible:
        if impossible.problem is None:
            raise CommandFailed(impossible.reason) from None
        raise CommandFailed(impossible.reason, UNAVAILABLE) from None


class Interview:
    """One conversation with Jira about an account; fills `account`, keeps `steps`."""

    def __init__(self, asker: Asker, subject: Subject, needs: Sequence[str]) -> None:
        self.account = Account()
        self.steps: list[Step] = []
        self._asker = asker
        self._subject = subject
        self._keys: Sequence[str] = inquiry.keys_to_ask(needs)

    def __repr__(self) -> str:
        return f"<Interview {self._subject} {len(self.steps)} steps>"

    async def run(self) -> None:
        """Ask everything that can be asked; raises `ReportImpossible` when not even the first answer comes."""
        try:
            await self._introduce()
            if self.account.is_logged_in:
                await self._ask_about_project()
                await self._ask_about_issue()
                await self._ask_administration()
        except _LoginFailed:
            return

    async def _introduce(self) -> None:
        answer = await self._ask(inquiry.SERVER_INFO)
        try:
            self.account.server = parse_server_info(answer.body)
        except InvalidServerInfo:
            self.account.server = None
        answer = await self._ask(inquiry.MYSELF)
        self.account.user = read.read_user(answer.body) if answer.status == OK else None

    async def _ask_about_project(self) -> None:
        account, project = self.account, self._subject.project
        if project is not None:
            answer = await self._ask(inquiry.project_itself(project))
            account.project = {OK: Sight.VISIBLE, 404: Sight.GONE}.get(answer.status, Sight.UNKNOWN)
            if answer.status == OK:
                account.roles = read.read_roles(answer.body)
        if project is None or account.project is not Sight.VISIBLE:
            account.anywhere = await self._permissions()
            return
        account.in_project = await self._permissions(project=project)
        answer = await self._ask(inquiry.create_types(project, account.server))
        account.create_types = read.read_create_types(answer.body) if answer.status == OK else None
        answer = await self._ask(inquiry.security_levels(project))
        account.levels = read.read_levels(answer.body) if answer.status == OK else None
        answer = await self._ask(inquiry.ATTACHMENT_META)
        account.has_attachments = read.read_has_attachments(answer.body) if answer.status == OK else None

    async def _ask_about_issue(self) -> None:
        account, issue = self.account, self._subject.issue
        if issue is None or account.project is Sight.GONE:
            return
        answer = await self._ask(inquiry.issue_itself(issue))
        missing = Sight.GONE if account.is_cloud else Sight.MISSING
        sights = {OK: Sight.VISIBLE, 403: Sight.HIDDEN, 404: missing}
        account.issue = sights.get(answer.status, Sight.UNKNOWN)
        if answer.status != OK:
            return
        account.is_done = read.read_is_done(answer.body)
        account.in_issue = await self._permissions(issue=issue)
        answer = await self._ask(inquiry.transitions(issue))
        account.transitions = read.read_transitions(answer.body) if answer.status == OK else None
        answer = await self._ask(inquiry.edit_fields(issue))
        account.edit_fields = read.read_fields(answer.body) if answer.status == OK else None

    async def _ask_administration(self) -> None:
        """Ask who is granted what is missing; only accounts that administer may know."""
        project, account = self._subject.project, self.account
        if project is None or account.project is not Sight.VISIBLE or not self._administers():
            return
        if account.issue in {Sight.HIDDEN, Sight.GONE}:
            answer = await self._ask(inquiry.security_scheme(project))
            account.project_levels = read.read_levels(answer.body) if answer.status == OK else None
        lacking = [finding for _, finding in judge_all(account, self._subject) if finding.cause is Cause.NO_GRANT]
        if not lacking:
            return
        answer = await self._ask(inquiry.project_scheme(project))
        account.scheme = read.read_scheme(answer.body) if answer.status == OK else None
        for role in self._roles_of(lacking):
            answer = await self._ask(inquiry.project_role(project, role))
            found = read.read_role(answer.body) if answer.status == OK else None
            if found is not None:
                account.roles[role] = found

    def _administers(self) -> bool:
        rows = [self.account.in_project.find(key) for key in _ADMINISTRATORS] if self.account.in_project else []
        return any(row is not None and row.is_held for row in rows)

    def _roles_of(self, lacking: list[Finding]) -> list[str]:
        """Return the ids of the first roles that are granted something that is missing."""
        scheme = self.account.scheme
        if scheme is None:
            return []
        grants = [grant for finding in lacking for key in finding.missing for grant in scheme.holders(key)]
        roles = dict.fromkeys(grant.parameter for grant in grants if grant.kind == "projectRole")
        return [role for role in roles if role.isdigit()][:MAX_ROLES]

    async def _permissions(self, *, project: str | None = None, issue: str | None = None) -> read.Permissions | None:
        answer = await self._ask(inquiry.my_permissions(self._keys, project=project, issue=issue))
        if answer.status == 400 and self._keys is not inquiry.CORE:  # Cloud, asked for what an app would have to bring
            self._keys = inquiry.CORE
            answer = await self._ask(inquiry.my_permissions(self._keys, project=project, issue=issue))
        return read.read_permissions(answer.body) if answer.status == OK else None

    async def _ask(self, target: bytes) -> ProbeAnswer:
        answer = await self._asker.get(target, STEP_SECONDS)
        path = target.partition(b"?")[0].decode()
        problem = answer.problem
        if problem is not None and not self.steps:
            raise ReportImpossible(f"{problem.slug.name}: {problem.message}", problem)
        self.steps.append(Step(path, answer.status, problem.slug.name if problem is not None else ""))
        verdict = self._verdict(answer, path)
        if verdict is not None and not (self.account.is_logged_in and verdict is LoginVerdict.LOGIN_REQUIRED):
            self.account.login = verdict
            if verdict not in _GOOD_LOGINS:
                raise _LoginFailed
        return answer

    def _verdict(self, answer: ProbeAnswer, path: str) -> LoginVerdict | None:
        told = BY_SLUG.get(answer.login.decode("latin-1"))
        if told is not None or answer.problem is not None:
            return told
        authorization = self._asker.connection.authorization
        scheme = None if authorization is None else authorization.get_secret_value().partition(b" ")[0].lower()
        return classify_login(answer.status, answer.headers, path, scheme)
