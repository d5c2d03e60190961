"""A direct connection's half of the request path: it offers the relay (forward.py) what a link offers.

`DirectCarrier.open_stream` screens a request as an agent would (allow-list of headers, built-in rules, one place
where Jira's login goes on) and hands it to a `DirectStream`.
"""

from dataclasses import replace
from typing import Final

from gateway.admission import Refused
from gateway.direct_stream import DirectStream, Outlet, Screened
from gateway.errors import BAD_REQUEST, POLICY_DENIED, Problem
from gateway.store import Credentials
from http1.client import ClientPool
from http1.messages import Headers
from http1.messages import RequestHead as JiraRequest
from http1.target import AmbiguousTarget, Target, parse_target
from jira_api.decisions import Deny
from jira_api.headers import request_headers
from jira_api.profiles import NEVER, PROFILES
from jira_api.protection.accounts import Account
from jira_api.protection.protection import Protection
from jira_api.rules import RuleSet, evaluate
from tunnel.heads import Pairs, RequestHead
from tunnel.streams import StreamReceiver

VIA: Final = (b"Via", b"1.1 jira-tunnel")
RULES: Final = RuleSet(PROFILES["full-rest"], NEVER)
"""What may pass where no agent's policy decides (docs/decisions/0010-direct-connections.md)."""
OWN_RULES: Final = RuleSet(PROFILES["webhooks"], NEVER)
"""What the gateway itself may ask beside that: reading, searching, and webhooks that point at itself."""


class DirectCarrier:
    """What a link is for an agent: the way to one Jira, with one pool of sockets and one protection."""

    def __init__(self, outlet: Outlet, context_path: bytes, credentials: Credentials, user_agent: bytes) -> None:
        self.streams = 0
        self._outlet = replace(outlet, ended=self._closed)
        self._context_path = context_path
        self._credentials = credentials
        self._user_agent = user_agent

    def __repr__(self) -> str:
        return f"<DirectCarrier {self.pool.origin.host} streams={self.streams}>"

    @property
    def pool(self) -> ClientPool:
        """The sockets to this Jira."""
        return self._outlet.pool

    @property
    def protection(self) -> Protection:
        """What keeps this Jira from too much."""
        return self._outlet.protection

    @property
    def own(self) -> "OwnRequests":
        """Where the gateway's own requests go in, the ones about webhooks too; no caller's request comes here."""
        return OwnRequests(self)

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> DirectStream:
        """Send a request; raises `gateway.admission.Refused` when it must not or cannot go to this Jira."""
        return self.send(head, receiver, RULES)

    def send(self, head: RequestHead, receiver: StreamReceiver, rules: RuleSet) -> DirectStream:
        """Send what these rules let pass; raises `Refused`."""
        stream = DirectStream(receiver, self._screened(head, rules), self._outlet)
        stream.begin()
        self.streams += 1
        return stream

    def _closed(self) -> None:
        self.streams -= 1

    def _screened(self, head: RequestHead, rules: RuleSet) -> Screened:
        """Return what goes to Jira; the target that was checked is sent as it is, below the context path."""
        target = self._permitted(head, rules)
        headers = self._headers(head.headers)
        request = JiraRequest(head.method, self._context_path + head.target, headers, head.body)
        login = next((value for name, value in reversed(headers) if name.lower() == b"authorization"), None)
        return Screened(request, target, head.meta.get(b"caller", b""), login, self._account(login))

    def _permitted(self, head: RequestHead, rules: RuleSet) -> Target:
        try:
            target = parse_target(head.target)
        except AmbiguousTarget as error:
            raise Refused(Problem(BAD_REQUEST, f"The path is ambiguous ({error.reason}).")) from None
        decision = evaluate(rules, head.method, target, credentials=self._credentials.value)
        if isinstance(decision, Deny):
            rule = f" (rule {decision.rule_id})" if decision.rule_id else ""
            message = f"The gateway's rules for direct connections refused it: {decision.reason}{rule}."
            raise Refused(Problem(POLICY_DENIED, message))
        return target

    def _headers(self, given: Pairs) -> Headers:
        """Return the headers for Jira: the allow-list, our own, and the login (the caller's, or the sealed one)."""
        headers = request_headers(given, caller_credentials=self._credentials is Credentials.CALLER)
        headers += [(b"User-Agent", self._user_agent), VIA]
        if self._credentials is Credentials.GATEWAY:
            headers += [pair for pair in given if pair[0].lower() == b"authorization"]
        return headers

    def _account(self, login: bytes | None) -> Account | None:
        """Return what is known of the login that a request uses."""
        accounts = self.protection.accounts
        if login is None:
            return None
        if self._credentials is Credentials.GATEWAY:
            return accounts.own
        return accounts.of_caller(login) if accounts.are_callers_known else None


class OwnRequests:
    """The way of the gateway's own requests (gateway.events.jira_client): the same Jira, other rules.

    What is registered there is not checked, as it would be at an agent: the URL is one of ours.
    """

    __slots__ = ("_carrier",)

    def __init__(self, carrier: DirectCarrier) -> None:
        self._carrier = carrier

    def __repr__(self) -> str:
        return f"<OwnRequests {self._carrier!r}>"

    def open_stream(self, head: RequestHead, receiver: StreamReceiver) -> DirectStream:
        """Send a request; raises `gateway.admission.Refused`."""
        return self._carrier.send(head, receiver, OWN_RULES)
