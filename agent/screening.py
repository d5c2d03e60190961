"""Everything that is decided about a request before a byte of it goes to Jira. Pure: one call, one verdict.

The order: one meaning for the target (http1.target), a login that may be used, the policy, the header
allow-list, and Jira's credentials as the last header, in `_headers`: the one place where they are put on
a request. What was checked is what is sent: the raw target follows the context path unchanged. A
`Screening` is immutable; a reload makes a new one, so no request ever sees half of a policy.
"""

import re
from dataclasses import dataclass
from typing import Literal

from agent.credentials import JiraCredentials
from agent.policy import Policy
from http1.known_fields import FieldSet
from http1.messages import RequestHead
from http1.target import AmbiguousTarget, Target, parse_target
from jira_api.decisions import Deny
from jira_api.headers import Headers, is_oauth1, request_headers
from jira_api.webhook_registration import RegistrationRefused, registration_url, target_allowed
from tunnel.errors import ErrorCode
from tunnel.heads import RequestHead as StreamHead

Login = Literal["agent", "gateway", "caller"]

VIA = (b"Via", b"1.1 jira-tunnel")
_LOGINS: dict[bytes | None, Login] = {b"agent": "agent", b"gateway": "gateway", b"caller": "caller"}
_JSON = re.compile(rb'application/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refused:
    """The request does not go to Jira. `detail` is one sentence for the caller, `rule` the policy rule at work."""

    code: ErrorCode
    detail: str
    rule: str | None = None


@dataclass(slots=True)  # one per request: a frozen one takes three times as long to make
class Cleared:
    """The request may go to Jira as `head`; with `needs_body_check` only after `Screening.check_registration`."""

    head: RequestHead
    target: Target
    login: Login
    needs_body_check: bool
    rule: str = ""

    @property
    def keeps_cookies(self) -> bool:
        """Whether cookies are the caller's own business."""
        return self.login == "caller"

    @property
    def authorization(self) -> bytes | None:
        """The header that logs in at Jira; ours is the last one."""
        return _authorization(self.head.headers[::-1])


@dataclass(frozen=True, slots=True)
class Screening:
    """The rules of this machine: policy, login, Jira's context path, and where webhooks may point."""

    policy: Policy
    credentials: JiraCredentials
    context_path: bytes
    webhook_targets: tuple[str, ...]
    user_agent: bytes

    def screen(self, head: StreamHead) -> Cleared | Refused:
        """Return what goes to Jira, or why nothing does."""
        try:
            target = parse_target(head.target)
        except AmbiguousTarget as error:
            return Refused(ErrorCode.BAD_REQUEST, f"the request target is ambiguous: {error.reason}")
        login = _LOGINS.get(head.meta.get(b"credentials"))
        refused = self._check_login(login, head, target)
        if login is None or refused is not None:
            return refused or Refused(ErrorCode.BAD_REQUEST, "the gateway did not say whose credentials to use")
        decision = self.policy.decide(head.method, target, login)
        if isinstance(decision, Deny):
            rule = f" (rule {decision.rule_id})" if decision.rule_id else ""
            detail = f"the policy of this agent refused it: {decision.reason}{rule}"
            return Refused(ErrorCode.POLICY_DENIED, detail, decision.rule_id)
        if decision.needs_body_check and (objection := _unreadable(head)):
            return Refused(ErrorCode.POLICY_DENIED, objection, decision.rule_id)
        # No host: it is the pool's own origin, and no frame names one.
        fields = self._fields(head, login)
        request = RequestHead(head.method, self.context_path + head.target, fields.headers, head.body, fields=fields)
        return Cleared(request, target, login, decision.needs_body_check, decision.rule_id)

    def check_registration(self, method: bytes, body: bytes) -> Refused | None:
        """Return why a webhook registration may not pass, None when it may."""
        try:
            url = registration_url(body)
        except RegistrationRefused as error:
            return Refused(ErrorCode.POLICY_DENIED, f"the policy of this agent refused {error.reason}")
        if url is None:
            # An update may leave the address as it is; a new webhook without one means nothing.
            return None if method == b"PUT" else Refused(ErrorCode.POLICY_DENIED, "the webhook names no url")
        if not target_allowed(url, self.webhook_targets):
            detail = "the webhook's url is not under JIRA_AGENT_WEBHOOK_TARGETS of this agent"
            return Refused(ErrorCode.POLICY_DENIED, detail)
        return None

    def _check_login(self, login: Login | None, head: StreamHead, target: Target) -> Refused | None:
        # With the agent's login the caller's is not even looked for: it has no use, and the allow-list drops it.
        authorization = None if login == "agent" else _authorization(head.headers)
        if is_oauth1(authorization, target.query):
            detail = "OAuth 1.0a signs the URL, which the tunnel changes; use a personal access token or Basic"
            return Refused(ErrorCode.BAD_REQUEST, detail)
        if login == "agent" and not self.credentials.is_set:
            # Sent without a login, Jira would answer 200 with what anonymous users may see: silently wrong.
            detail = "this agent has no Jira credentials; set JIRA_AGENT_JIRA_TOKEN, or JIRA_USERNAME and JIRA_PASSWORD"
            return Refused(ErrorCode.JIRA_LOGIN_REJECTED, detail)
        if login == "gateway" and authorization is None:
            return Refused(ErrorCode.BAD_REQUEST, "the gateway sent no credentials for this connection")
        return None

    def _fields(self, head: StreamHead, login: Login) -> FieldSet:
        """Return the headers for Jira; heads that share their fields share these too, whatever was said of them."""
        shared = head.shared
        if shared is None:
            return FieldSet(self._headers(head, login))
        known: tuple[Screening, Login, FieldSet] | None = shared.derived
        if known is None or known[0] is not self or known[1] != login:
            known = shared.derived = (self, login, FieldSet(self._headers(head, login)))
        return known[2]

    def _headers(self, head: StreamHead, login: Login) -> Headers:
        headers = request_headers(head.headers, caller_credentials=login == "caller")
        headers.append((b"User-Agent", self.user_agent))
        headers.append(VIA)
        if login == "agent":
            self.credentials.inject(headers)
        elif login == "gateway":
            headers.extend(header for header in head.headers if header[0].lower() == b"authorization")
        return headers


def _authorization(headers: Headers) -> bytes | None:
    for name, value in headers:
        if len(name) == 13 and name.lower() == b"authorization":
            return value
    return None


def _unreadable(head: StreamHead) -> str | None:
    """Return why Jira might read this registration's body otherwise than we do."""
    fields = [(name.lower(), value) for name, value in head.headers]
    if any(name == b"content-encoding" for name, _ in fields):
        return "a webhook registration must not be compressed"
    types = [value for name, value in fields if name == b"content-type"]
    if len(types) != 1 or not _JSON.fullmatch(types[0]):  # of two, Jira takes the first and others the last
        return "a webhook registration must be application/json in UTF-8"
    return None
