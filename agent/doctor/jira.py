"""Jira as this machine sees it: address, TLS, the right base URL, state and version, the login, what it may register.

The login is tried once: three failures, and Jira asks the account for a CAPTCHA (docs/facts.md J8). One that the
running agent has stopped using, because Jira refused it, is not tried at all.
"""

import ssl
from typing import Final
from urllib.parse import urlsplit

from agent.addresses import JiraAddress
from agent.credentials import CredentialKind, JiraCredentials
from agent.doctor.check import Check, Circumstances, failed, passed, skip_all, skipped
from agent.doctor.context_path import find_jira, read_info
from agent.doctor.gateway import resolve
from agent.doctor.jira_desk import JiraDesk, knock, shake_hands
from agent.errors import describe
from agent.rules import load_policy
from http1.fetch import Fetched
from http1.target import parse_target
from jira_api.decisions import Allow
from jira_api.logins import ADVICE, LoginVerdict, classify_login
from jira_api.permissions.account import Account, read_permissions, read_user
from jira_api.permissions.actions import find_action
from jira_api.permissions.inquiry import MYSELF, Subject, my_permissions
from jira_api.permissions.judgement import State, judge
from jira_api.permissions.wording import screen, why
from jira_api.readiness import STATUS_PATH, NoAnswer, read_state
from jira_api.server_info import ServerInfo
from jira_api.webhook_api import WebhookApi, api_of

CHECKS: Final = ("jira-address", "jira-tls", "jira", "version", "login", "webhook-permission")
_OK: Final = 200
_FIRST_TOKENS: Final = (8, 14)
_OLDEST: Final = (7,)
NO_ACCOUNT: Final = "no login of Jira is kept here; connections bring their own"


async def check_address(circumstances: Circumstances, jira: JiraAddress) -> Check:
    """Resolve Jira's name and connect."""
    try:
        addresses = await resolve(jira.host, jira.port)
    except OSError as error:
        detail = f"{jira.host}: {describe(error)}"
        return failed("jira-address", detail, "check the host in JIRA_AGENT_JIRA_URL and this machine's DNS")
    try:
        await knock(circumstances.settings, jira)
    except OSError as error:
        detail = f"{jira.host}:{jira.port} ({', '.join(addresses)}): {describe(error)}"
        return failed(
            "jira-address", detail, "check the port in JIRA_AGENT_JIRA_URL, that Jira runs, and firewalls between"
        )
    return passed("jira-address", f"{jira.host}:{jira.port} accepts connections ({', '.join(addresses)})")


async def check_tls(circumstances: Circumstances, jira: JiraAddress, trusted: ssl.SSLContext | None) -> Check:
    """Shake hands, and name the issuer of a certificate that is not believed."""
    if trusted is None:
        return skipped("jira-tls", "JIRA_AGENT_JIRA_URL begins with http://: logins cross the network readable")
    shown = await shake_hands(circumstances.settings, jira, trusted)
    if shown.speaks_plain_http:
        port = f"{jira.host}:{jira.port}"
        return failed(
            "jira-tls", f"{port} does not speak TLS", "correct the port, or write http:// in JIRA_AGENT_JIRA_URL"
        )
    if shown.certificate is None:
        return failed(
            "jira-tls", f"no handshake: {shown.problem}", "look at Jira's TLS (or that of the proxy before it)"
        )
    issuer = shown.certificate.issuer
    if shown.problem is None:
        return passed("jira-tls", f"issued by {issuer}, until {shown.certificate.not_after:%Y-%m-%d}")
    if not shown.certificate.is_for(jira.host):
        names = ", ".join(shown.certificate.names)[:200] or "nobody"
        return failed(
            "jira-tls",
            f"the certificate is for {names}, not for {jira.host}",
            "use one of these names in JIRA_AGENT_JIRA_URL",
        )
    action = "write the CA that issued it into a PEM file and name that in JIRA_AGENT_JIRA_CA_FILE"
    if "expired" in shown.problem:
        action = "let Jira's administrator renew its certificate"
    return failed("jira-tls", f"{shown.problem}; the certificate was issued by {issuer}", action)


async def check_base_url(desk: JiraDesk, jira: JiraAddress) -> tuple[Check, ServerInfo | None]:
    """Ask who is there; where it is not Jira, look for Jira on the same host."""
    try:
        state = read_state((await desk.ask(jira.context_path.encode("ascii") + STATUS_PATH)).body)
        info, problem, answer = await read_info(desk, jira.context_path)
    except NoAnswer as failure:
        return failed("jira", failure.reason, "see Jira's log, and that of what stands before it"), None
    if info is not None and state.problem is None:
        return passed("jira", f"{info.title or 'Jira'} answers at {jira}" + _named(state.name)), info
    if state.problem is not None:
        return failed("jira", state.problem, "wait, or see Jira's log"), None
    found = await find_jira(desk, jira, answer)
    if found is not None:
        return failed("jira", f"{problem}; {found.because}", f"set JIRA_AGENT_JIRA_URL={found.url}"), None
    verdict = classify_login(answer.status, answer.headers, "/rest/api/2/serverInfo", b"")
    if verdict is LoginVerdict.SSO_PAGE:
        return failed("jira", *ADVICE[verdict]), None
    action = "set JIRA_AGENT_JIRA_URL to Jira's base URL with its context path, as its administration shows it"
    return failed("jira", f"{problem}: this is not Jira, or not its base URL", action), None


def _named(state: str | None) -> str:
    return "" if state is None else f", state {state}"


def judge_version(info: ServerInfo, jira: JiraAddress, kind: CredentialKind) -> Check:
    """Say what version and base URL mean."""
    detail = f"Jira {info.version or 'of an unknown version'} ({info.deployment_type}), base URL {info.base_url}"
    if info.version_numbers and info.version_numbers < _OLDEST:
        return failed("version", detail, "this program knows Jira 7 and later")
    if kind is CredentialKind.BEARER and info.version_numbers and info.version_numbers < _FIRST_TOKENS:
        return failed("version", f"{detail}: personal access tokens came with 8.14", "use a user name and password")
    path = urlsplit(info.base_url).path.rstrip("/")
    if path != jira.context_path:
        advice = f"its own context path is {path or '/'}: links in its answers may be left as they are"
        return passed("version", detail, advice)
    return passed("version", detail)


async def check_login(
    circumstances: Circumstances, desk: JiraDesk, jira: JiraAddress, credentials: JiraCredentials
) -> tuple[Check, Account]:
    """Try the login, once, unless the running agent knows that it was refused."""
    account = Account()
    refusal = refused_before(circumstances)
    if circumstances.quick:
        return skipped("login", "not tried by the quick checks"), account
    if refusal is not None:
        return failed("login", f"not tried: the running agent was refused with it ({refusal[0]})", refusal[1]), account
    if not credentials.is_set:
        return skipped("login", _no_login(circumstances)), account
    try:
        answer = await desk.ask_logged_in(jira.context_path.encode("ascii") + MYSELF)
    except NoAnswer as failure:
        return failed("login", failure.reason, "see Jira's log"), account
    return judge_login(answer, desk.scheme, account), account


def judge_login(answer: Fetched, scheme: bytes, account: Account) -> Check:
    """Say how the login went, and note who it is."""
    verdict = classify_login(answer.status, answer.headers, MYSELF.partition(b"?")[0].decode(), scheme)
    user = read_user(answer.body) if answer.status == _OK else None
    if user is not None and verdict in {None, LoginVerdict.OK}:
        account.login, account.user = LoginVerdict.OK, user
        return passed("login", f"as {user.name} by {scheme.decode()}")
    if verdict is None or verdict is LoginVerdict.OK:
        detail = f"/rest/api/2/myself was answered with status {answer.status}"
        return failed("login", detail, "see Jira's log; the login was tried once")
    account.login = verdict
    return failed("login", ADVICE[verdict].meaning, ADVICE[verdict].action)


def refused_before(circumstances: Circumstances) -> tuple[str, str] | None:
    """Return verdict and advice of the agent's own login when the running agent does not use it any more."""
    page = circumstances.running or {}
    for row in page.get("jira", {}).get("refused_logins", []):
        if row.get("login") == "agent":
            return f"{row.get('verdict')} since {row.get('since')}", str(row.get("action"))
    return None


def _no_login(circumstances: Circumstances) -> str:
    page = circumstances.running or {}
    kind = page.get("jira", {}).get("credentials", "none")
    if kind == "none":
        return NO_ACCOUNT
    return f"the running agent has one ({kind}) that this command cannot read; its own word is in jira-agent status"


async def check_webhook_permission(
    circumstances: Circumstances, desk: JiraDesk, jira: JiraAddress, account: Account, info: ServerInfo | None
) -> Check:
    """Ask whether the account may register webhooks, and the policy whether such requests pass."""
    name = "webhook-permission"
    if account.user is None:
        return skipped(name, "no login to ask with")
    account.server = info
    target = my_permissions(["ADMINISTER", "SYSTEM_ADMIN"])
    try:
        answer = await desk.ask_logged_in(jira.context_path.encode("ascii") + target)
    except NoAnswer as failure:
        return failed(name, failure.reason, "see Jira's log")
    account.anywhere = read_permissions(answer.body) if answer.status == _OK else None
    action = find_action("webhooks")
    if action is None:
        raise RuntimeError("the table of actions has no webhooks")
    finding = judge(action, account, Subject())
    is_wanted = circumstances.settings.webhook_listen is not None
    if finding.state is not State.ALLOWED:
        reason = why(finding, account, Subject())
        if not is_wanted:
            return skipped(name, f"{reason} Not needed, as JIRA_AGENT_WEBHOOK_LISTEN is not set.")
        place = screen(finding, account, Subject())
        by_hand = "or let an administrator enter what 'jira-gateway triggers show' prints"
        return failed(name, reason, f"{place.rstrip('.') or 'grant Administer Jira'}; {by_hand}")
    return _judge_policy(circumstances, info, account, is_wanted=is_wanted)


def _judge_policy(circumstances: Circumstances, info: ServerInfo | None, account: Account, *, is_wanted: bool) -> Check:
    api = api_of(info) if info is not None else WebhookApi(is_modern=False, signs=False)
    decision = load_policy(circumstances.settings).decide(b"POST", parse_target(api.path.encode()), "agent")
    who = account.user.name if account.user is not None else "the account"
    if isinstance(decision, Allow):
        return passed("webhook-permission", f"{who} may register webhooks, and the policy lets that pass")
    detail = f"{who} may register webhooks, but the policy does not let that pass ({decision.reason})"
    if not is_wanted:
        return skipped("webhook-permission", f"{detail}; not needed, as JIRA_AGENT_WEBHOOK_LISTEN is not set")
    return failed("webhook-permission", detail, "add webhooks to JIRA_AGENT_POLICY_PROFILE")


def skip_jira(reason: str, done: int = 0) -> list[Check]:
    """Return the checks of Jira from the one of this number on, skipped."""
    return skip_all(CHECKS[done:], reason)
