"""Every body, query and answer of the management API, as the OpenAPI document shows them.

What comes in is strict: unknown fields and wrong types are refused, never guessed. What is not given is not in
`model_fields_set`; only then a default counts. Validators are built when they are first used: most gateways are
asked few of these things, and memory is theirs for requests.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from gateway.connection_rules import MAX_TIMEOUT_SECONDS
from gateway.naming import DURATION_PATTERN, NAME_PATTERN
from gateway.store import Credentials, Scope
from gateway.tokens import RateInvalid, parse_rate


def _number(text: object) -> object:
    """Read a whole number of a query as nothing but digits."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else text


def _flag(text: object) -> object:
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


def _rate(text: str) -> str:
    try:
        parse_rate(text)
    except RateInvalid as error:
        raise ValueError(str(error)) from None
    return text


Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", examples=["headquarters"])]
Duration = Annotated[str, Field(pattern=f"^{DURATION_PATTERN}$", examples=["1h", "90d"])]
Expiry = Annotated[str, Field(pattern=f"^(never|{DURATION_PATTERN})$", examples=["90d", "never"])]
Rate = Annotated[str, Field(max_length=16, examples=["10/s", "600/m"]), AfterValidator(_rate)]
Timeout = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_SECONDS)]
Count = Annotated[int, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class Asked(BaseModel):
    """What comes in."""

    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Told(BaseModel):
    """What goes out."""

    model_config = ConfigDict(defer_build=True, json_schema_serialization_defaults_required=True)


# Connections


class ConnectionChange(Asked):
    """What is to be different about a connection; what is left out stays.

    Another `via` drops the old base_url and ca_pem. New `credentials` are given whole: a username or secret that is
    not given again is gone. Another `via`, or a base_url of another host, needs the `secret` again.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    via: Name = Field(default_factory=str, description="an agent's name, or direct")
    credentials: Credentials = Field(
        default_factory=lambda: Credentials.AGENT, description="whose login Jira sees: agent, gateway or caller"
    )
    base_url: str = Field(
        default_factory=str, min_length=1, max_length=2048, description="of Jira, with context path (via direct only)"
    )
    username: str = Field(
        default_factory=str, min_length=1, max_length=255, description="with credentials gateway: Basic; none: bearer"
    )
    secret: SecretStr = Field(
        default_factory=lambda: SecretStr(""), min_length=1, max_length=65536, description="password or token"
    )
    timeout_seconds: Timeout = Field(default_factory=float, description="how long Jira may take (60)")
    rewrite_links: bool = Field(default_factory=bool, description="point links in answers at the gateway (true)")
    ca_pem: str = Field(
        default_factory=str, min_length=1, max_length=262144, description="CAs of Jira's certificate (via direct only)"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("there is nothing to change")
        return self


class NewConnection(ConnectionChange):
    """A new connection: callers reach it below /jira/<name>/ with a token that names it."""

    name: Name
    via: Name = Field(description="an agent's name, or direct")
    credentials: Credentials = Field(description="whose login Jira sees: agent, gateway or caller")


class ConnectionView(Told):
    """A connection without its secret."""

    name: str
    via: str
    credentials: Credentials
    base_url: str | None
    username: str | None
    has_secret: bool
    has_ca: bool
    rewrite_links: bool
    timeout_seconds: float


class ConnectionDetails(ConnectionView):
    """A connection, and the live tokens that may use it."""

    tokens: list[str]


class ConnectionList(Told):
    """All connections by name."""

    items: list[ConnectionView]


class RemoveQuery(Asked):
    """How thoroughly."""

    force: Flag = Field(False, description="also take it out of the tokens that name it")


class CheckView(Told):
    """One step of a test; `action` says what to do about a fail."""

    check: str
    result: Literal["pass", "fail", "skip"]
    detail: str
    action: str


class TestReport(Told):
    """What became of a test of a connection."""

    name: str
    ok: bool
    checks: list[CheckView]


# Agents


class NewInvite(Asked):
    """How long the code works."""

    ttl: Duration = Field("1h", description="up to 24h")


class InviteCode(Told):
    """An enrolment code: shown once, good for one agent."""

    name: str
    code: str
    expires_at: datetime


class InviteView(Told):
    """What became of an enrolment code."""

    agent: str
    state: Literal["open", "used", "expired"]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class InviteList(Told):
    """All enrolment codes, oldest first; never the codes themselves."""

    items: list[InviteView]


AgentState = Literal["invited", "enrolled", "revoked"]
SwitchPosition = Literal["open", "read-only", "paused"]


class AgentView(Told):
    """An agent: counts of live `instances` and `links`, of `wedged` links, and its administrators' `switch`."""

    name: str
    state: AgentState
    instances: int
    links: int
    wedged: int
    switch: list[SwitchPosition]
    created_at: datetime
    revoked_at: datetime | None


class AgentList(Told):
    """All agents by name."""

    items: list[AgentView]


class InstanceView(Told):
    """One enrolled process of an agent, with its newest certificate."""

    instance: str
    serial: str
    enrolled_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class OpenCode(Told):
    """An enrolment code that still works."""

    created_at: datetime
    expires_at: datetime


class LinkView(Told):
    """One link of an agent: a live one, or with `wedged_at` one that was up but gave no answers and was closed."""

    instance: str
    serial: str
    certificate_expires_at: datetime
    address: str
    opened_at: datetime
    usable: bool
    streams: int
    rtt_ms: float | None
    canary_ms: float | None
    wedged_at: datetime | None
    software: str
    jira: str
    switch: SwitchPosition
    switch_reason: str


class AgentDetails(Told):
    """An agent with its instances, open codes, connections and live links."""

    name: str
    state: AgentState
    created_at: datetime
    revoked_at: datetime | None
    connections: list[str]
    open_codes: list[OpenCode]
    instances: list[InstanceView]
    links: list[LinkView]


class Revocation(Asked):
    """What is revoked."""

    instance: Name = Field(default_factory=str, description="only this instance; left out: the whole name")


class Revoked(Told):
    """How many instances were live until now."""

    name: str
    instances: int


# Tokens


class NewToken(Asked):
    """A new token: which connections it may use, and how. Only one for administration needs no connection."""

    name: Name
    connections: list[Name] = Field([], max_length=1000)
    scopes: list[Scope] = Field([Scope.CALL], min_length=1, max_length=3)
    read_only: bool = Field(False, description="only requests that change nothing")
    expires: Expiry = Field("90d")
    rate: Rate = Field(default_factory=str, description="requests per s, m or h; left out: no limit")


class Rotation(Asked):
    """The term of the new secret, and how long the old one still works."""

    expires: Expiry = Field(default_factory=str, description="left out: 90d, or never if it never ended")
    overlap: Duration = Field(default_factory=str, description="left out: the old secret stops at once")


class TokenSecret(Told):
    """A token's secret, shown once."""

    name: str
    token: str
    expires_at: datetime | None


class TokenView(Told):
    """A token without its secret."""

    name: str
    state: Literal["active", "expired", "revoked"]
    connections: list[str]
    scopes: list[Scope]
    read_only: bool
    rate: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class TokenList(Told):
    """All tokens by name, revoked ones too."""

    items: list[TokenView]


# Audit


class AuditQuery(Asked):
    """Which page."""

    after: Count = Field(0, ge=0, description="the number of the last record that is known")
    limit: Count = Field(100, ge=1, le=1000)


class AuditRecordView(Told):
    """One change: who, what, when; `mac` chains it to the record before."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    mac: str


class AuditPage(Told):
    """Records in order; `next` is the `after` of the next page, null at the end."""

    items: list[AuditRecordView]
    next: int | None


class AuditHead(Told):
    """Where the trail ends; keep `head` elsewhere, to notice a cut end."""

    count: int
    mac: str
    head: str


class VerifyQuery(Asked):
    """A head that was kept."""

    head: str = Field(
        default_factory=str, pattern="^[0-9]{1,18}:[0-9a-f]{64}$", description="COUNT:MAC, to notice a cut end"
    )


class Verification(Told):
    """Whether the trail is whole; otherwise `broken_at` is the first record that does not fit, `problem` says how."""

    ok: bool
    count: int | None
    head: str | None
    broken_at: int | None
    problem: str | None


# What every refusal says (docs/contract.md §3.6)


class ProblemOrigin(Told):
    """What a program needs to know of a refusal."""

    error: str
    source: Literal["gateway", "agent"]
    processed: Literal["no", "unknown"]
    request_id: str


class ProblemBody(Told):
    """Every answer that is not what was asked for."""

    model_config = ConfigDict(title="Problem")

    errorMessages: list[str]  # noqa: N815 - Jira's own format, which every client of Jira can read
    errors: dict[str, str]
    tunnel: ProblemOrigin
