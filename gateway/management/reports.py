"""What is told of an account's permissions and of a past answer: the shapes of docs/permissions.md as models."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from gateway.management.models import Asked, Told

State = Literal["allowed", "denied", "unknown"]


class PermissionQuery(Asked):
    """What the account is to be judged for; nothing given: Jira as a whole."""

    project: str = Field(
        default_factory=str, pattern="^([A-Za-z][A-Za-z0-9_]{0,254}|[0-9]{1,18})$", description="a project's key or id"
    )
    issue: str = Field(
        default_factory=str,
        pattern="^([A-Za-z][A-Za-z0-9_]{0,254}-[0-9]{1,18}|[0-9]{1,18})$",
        description="an issue's key or id",
    )
    need: str = Field(
        default_factory=str,
        pattern="^[A-Za-z][A-Za-z0-9_.-]{0,99}(,[A-Za-z][A-Za-z0-9_.-]{0,99}){0,99}$",
        description="permission keys or actions that must be there, with commas between them",
    )


class JiraSeen(Told):
    """The Jira that answered."""

    version: str
    deployment: str
    base_url: str | None


class AccountSeen(Told):
    """The account whose login Jira saw."""

    name: str
    display_name: str
    groups: list[str] | None
    applications: list[str] | None


class LoginSeen(Told):
    """How the login went."""

    verdict: str
    meaning: str
    action: str


class SubjectSeen(Told):
    """A project or an issue, and whether the account sees it."""

    key: str
    sight: str


class Verdict(Told):
    """Whether something is allowed, why not, and which screen of Jira grants it."""

    state: State
    cause: str
    why: str
    grant: str


class NeedVerdict(Verdict):
    """The verdict on something that was asked for."""

    need: str


class PermissionSeen(Told):
    """A permission as this Jira spells it."""

    key: str
    legacy: str | None
    held: bool | None


class ActionVerdict(Verdict):
    """The verdict on one action."""

    action: str
    title: str
    scope: str
    permissions: list[PermissionSeen]
    needs_all: list[str]


class StepSeen(Told):
    """One request that was made for the report."""

    request: str
    status: int
    problem: str


class PermissionReport(Told):
    """What a connection's account may do; `ok` when nothing that was asked for is missing."""

    connection: str
    ok: bool
    jira: JiraSeen | None
    account: AccountSeen | None
    login: LoginSeen | None
    project: SubjectSeen | None
    issue: SubjectSeen | None
    missing: list[str]
    needs: list[NeedVerdict]
    actions: list[ActionVerdict]
    steps: list[StepSeen]


class AnswerExplained(Told):
    """The most likely cause of a past answer, with the evidence."""

    connection: str
    request_id: str
    at: datetime
    caller: str
    method: str
    path: str
    status: int
    answered_by: Literal["jira", "gateway", "agent"]
    cause: str
    text: str
    also: list[str]
    action: str
    permissions: list[str]
    evidence: list[str]
