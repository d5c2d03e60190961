"""Everything that can be asked of the management API: the one table for routing, validation and the document."""

from dataclasses import dataclass

from pydantic import BaseModel

from gateway.errors import NOT_FOUND, Slug
from gateway.management import (
    agents,
    audit,
    connections,
    event_reading,
    models,
    reports,
    tokens,
    trigger_models,
    triggers,
)
from gateway.management.office import Action
from gateway.management.problems import CONFLICT
from gateway.naming import NAME_PATTERN
from gateway.store import Scope

ROOT = "/api/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked.

    `path` is below ROOT, with parameters as {name}; `answer` None means 204 without a body; `refuses` is what this
    route may answer beside the refusals that every route shares. A read-only token may only use what does not
    `change` anything; who has not the `scope` needs the scope admin. What `lasts` sends its answer itself, as JSON or
    as server-sent events, and has deadlines of its own.
    """

    method: str
    path: str
    operation: str
    summary: str
    action: Action
    answer: type[BaseModel] | None = None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    refuses: tuple[Slug, ...] = ()
    changes: bool = False
    scope: Scope = Scope.ADMIN
    lasts: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def tag(self) -> str:
        """The kind of thing this is about."""
        return self.path.split("/")[1]


PARAMETERS: dict[str, str] = {"name": NAME_PATTERN, "request_id": "[0-9a-f]{1,16}-[0-9a-f]{1,16}"}
"""Parameter of a path -> what it looks like; anything else is not found."""

ROUTES = (
    Route(
        "GET", "/connections", "listConnections", "List all connections", connections.list_all,
        answer=models.ConnectionList,
    ),
    Route(
        "POST", "/connections", "createConnection", "Add a connection", connections.create,
        answer=models.ConnectionView, status=201, body=models.NewConnection, refuses=(CONFLICT, NOT_FOUND),
        changes=True,
    ),
    Route(
        "GET", "/connections/{name}", "getConnection", "Show a connection and the tokens that may use it",
        connections.get, answer=models.ConnectionDetails,
    ),
    Route(
        "PATCH", "/connections/{name}", "updateConnection", "Change a connection; what is not given stays",
        connections.update, answer=models.ConnectionView, body=models.ConnectionChange,
        changes=True,
    ),
    Route(
        "DELETE", "/connections/{name}", "removeConnection", "Remove a connection", connections.remove, status=204,
        query=models.RemoveQuery, refuses=(CONFLICT, NOT_FOUND), changes=True,
    ),
    Route(
        "POST", "/connections/{name}/test", "testConnection", "Ask Jira through this connection now", connections.test,
        answer=models.TestReport, refuses=(CONFLICT, NOT_FOUND),
    ),
    Route(
        "GET", "/connections/{name}/permissions", "getPermissions", "Report what the connection's account may do",
        connections.permissions, answer=reports.PermissionReport, query=reports.PermissionQuery,
        refuses=(CONFLICT,),
    ),
    Route(
        "GET", "/connections/{name}/explain/{request_id}", "explainAnswer", "Explain a past answer that was no success",
        connections.explain, answer=reports.AnswerExplained,
    ),
    Route("GET", "/agents", "listAgents", "List all agents", agents.list_all, answer=models.AgentList),
    Route(
        "GET", "/agents/{name}", "getAgent", "Show an agent, its instances, codes and links", agents.get,
        answer=models.AgentDetails,
    ),
    Route(
        "POST", "/agents/{name}/invites", "inviteAgent", "Make a one-time code with which one agent enrolls",
        agents.invite, answer=models.InviteCode, status=201, body=models.NewInvite, refuses=(CONFLICT,), changes=True,
    ),
    Route(
        "POST", "/agents/{name}/revoke", "revokeAgent", "Revoke an agent, or one instance of it", agents.revoke,
        answer=models.Revoked, body=models.Revocation, changes=True,
    ),
    Route(
        "GET", "/invites", "listInvites", "List all enrolment codes, never the codes themselves", agents.list_invites,
        answer=models.InviteList,
    ),
    Route("GET", "/tokens", "listTokens", "List all tokens, never their secrets", tokens.list_all,
          answer=models.TokenList),
    Route(
        "POST", "/tokens", "createToken", "Make a token; its secret is shown once", tokens.create,
        answer=models.TokenSecret, status=201, body=models.NewToken, refuses=(CONFLICT, NOT_FOUND), changes=True,
    ),
    Route(
        "GET", "/tokens/{name}", "getToken", "Show a token, never its secret", tokens.get, answer=models.TokenView,
    ),
    Route(
        "POST", "/tokens/{name}/rotate", "rotateToken", "Give a token a new secret, shown once", tokens.rotate,
        answer=models.TokenSecret, body=models.Rotation, changes=True,
    ),
    Route(
        "POST", "/tokens/{name}/revoke", "revokeToken", "Revoke a token: it is refused at once", tokens.revoke,
        status=204, changes=True,
    ),
    Route("GET", "/triggers", "listTriggers", "List all triggers", triggers.list_all,
          answer=trigger_models.TriggerList),
    Route(
        "POST", "/triggers", "createTrigger", "Add a trigger; its signing secret is shown once", triggers.create,
        answer=trigger_models.MadeTrigger, status=201, body=trigger_models.NewTrigger, refuses=(CONFLICT, NOT_FOUND),
        changes=True,
    ),
    Route(
        "GET", "/triggers/{name}", "getTrigger", "Show a trigger, never its secret", triggers.get,
        answer=trigger_models.TriggerDetails,
    ),
    Route("DELETE", "/triggers/{name}", "removeTrigger", "Remove a trigger and its deliveries", triggers.remove,
          status=204, changes=True),
    Route(
        "POST", "/triggers/{name}/rotate", "rotateTrigger", "Give a trigger a new signing secret, shown once",
        triggers.rotate, answer=trigger_models.TriggerSecret, body=trigger_models.SecretRotation, changes=True,
    ),
    Route("POST", "/triggers/{name}/enable", "enableTrigger", "Let a disabled trigger send again", triggers.enable,
          status=204, changes=True),
    Route(
        "POST", "/triggers/{name}/replay", "replayTrigger", "Send events again under their old ids", triggers.replay,
        answer=trigger_models.Replayed, body=trigger_models.Replaying, changes=True,
    ),
    Route(
        "GET", "/triggers/{name}/events", "readEvents", "Read a trigger's events; a token with the scope events may",
        event_reading.read, answer=trigger_models.EventPage, query=trigger_models.EventQuery, scope=Scope.EVENTS,
        lasts=True,
    ),
    Route(
        "GET", "/audit", "listAudit", "List changes: who, what, when", audit.list_page, answer=models.AuditPage,
        query=models.AuditQuery,
    ),
    Route("GET", "/audit/head", "getAuditHead", "Tell where the trail ends", audit.head, answer=models.AuditHead),
    Route(
        "GET", "/audit/verify", "verifyAudit", "Check that no record was changed, removed or cut off", audit.verify,
        answer=models.Verification, query=models.VerifyQuery,
    ),
)  # fmt: skip
