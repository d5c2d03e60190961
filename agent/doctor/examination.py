"""The order of the checks, and what each of them needs before it can be made."""

from collections.abc import AsyncGenerator, Iterable, Iterator

from agent.addresses import GatewayAddress, JiraAddress
from agent.credentials import CredentialKind, JiraCredentials, jira_credentials, revealed_code
from agent.doctor.check import Check, Circumstances, failed, skip_all, skipped
from agent.doctor.gateway import Way, check_clock, check_dns, check_tls, check_way
from agent.doctor.jira import (
    CHECKS as OF_JIRA,
)
from agent.doctor.jira import (
    check_address,
    check_base_url,
    check_login,
    check_webhook_permission,
    judge_version,
)
from agent.doctor.jira import check_tls as check_jira_tls
from agent.doctor.jira_desk import open_desk
from agent.doctor.line import CHECKS as OF_LINE
from agent.doctor.line import check_line
from agent.doctor.machine import check_certificate, check_settings, check_state
from agent.doctor.webhook_loop import NAME as WEBHOOK_LOOP
from agent.doctor.webhook_loop import check_webhook_loop
from agent.identity import Identity
from agent.routes import make_origin, make_route
from agent.rules import user_agent
from certs.enrollment import EnrollmentCode, parse_code
from certs.errors import CodeRejected
from http1.origin import Origin
from runtime.configuration import ConfigurationError

OF_GATEWAY = ("dns", "proxy", "connect", "tls", "clock", *OF_LINE)
ALL = ("settings", "state", "certificate", *OF_GATEWAY, *OF_JIRA, WEBHOOK_LOOP)
NO_GATEWAY = "no gateway is known before enrolment; JIRA_AGENT_GATEWAY_URL or JIRA_AGENT_ENROLL_CODE names one"
EXAMINATION_SECONDS = 180.0


async def examine(circumstances: Circumstances, code: EnrollmentCode | None = None) -> AsyncGenerator[Check, None]:
    """Make every check, one after the other, and yield what each found; `code` is an enrolment's, when it is known."""
    yield check_settings(circumstances)
    yield check_state(circumstances)
    certificate, identity = check_certificate(circumstances)
    yield certificate
    async for row in _examine_gateways(circumstances, identity, code or configured_code(circumstances)):
        yield row
    async for row in _examine_jira(circumstances):
        yield row
    circumstances.tell("calling the webhook URL")
    yield (
        skipped(WEBHOOK_LOOP, "not called by the quick checks")
        if circumstances.quick
        else await check_webhook_loop(circumstances)
    )


def configured_code(circumstances: Circumstances) -> EnrollmentCode | None:
    """Return the enrolment code of the settings, None without one that can be read."""
    secret = circumstances.settings.enroll_code
    if secret is None:
        return None
    try:
        return parse_code(revealed_code(secret))
    except CodeRejected:
        return None  # `enroll` says what is wrong with it


async def _examine_gateways(
    circumstances: Circumstances, identity: Identity | None, code: EnrollmentCode | None
) -> AsyncGenerator[Check, None]:
    gateways = list(_gateways(circumstances, identity, code))
    if not gateways:
        for row in skip_all(OF_GATEWAY, NO_GATEWAY):
            yield row
        return
    try:
        route = make_route(circumstances.settings)
    except ConfigurationError as error:
        yield failed("proxy", f"{error.variable}: {error.problem}", error.fix)
        for row in skip_all([name for name in OF_GATEWAY if name != "proxy"], "no way is known"):
            yield row
        return
    for gateway in gateways:
        suffix = "" if len(gateways) == 1 else f" {gateway.host}:{gateway.port}"
        way = Way(gateway, route, user_agent(), identity, code)
        async for row in _examine_gateway(circumstances, way):
            yield Check(row.check + suffix, row.result, row.detail, row.action)


def _gateways(
    circumstances: Circumstances, identity: Identity | None, code: EnrollmentCode | None
) -> Iterable[GatewayAddress]:
    if circumstances.settings.gateway_url:
        return circumstances.settings.gateway_url
    if identity is not None:
        return (identity.gateway,)
    return () if code is None else (GatewayAddress.parse(code.address),)


async def _examine_gateway(circumstances: Circumstances, way: Way) -> AsyncGenerator[Check, None]:
    left = iter(OF_GATEWAY)
    circumstances.tell(f"resolving {way.gateway.host}")
    dns = await check_dns(way)
    yield _named(dns, left)
    if dns.result == "fail":
        for row in skip_all(left, "the name is not known"):
            yield row
        return
    circumstances.tell(f"connecting to {way.gateway}")
    reached, sighting = await check_way(way)
    for row in reached:
        yield _named(row, left)
    if sighting is None:
        for row in skip_all(left, "the gateway was not reached"):
            yield row
        return
    tls = await check_tls(way, sighting)
    yield _named(tls, left)
    clock = check_clock(sighting)
    is_gateway = tls.result == "pass" or "certificate is for" in tls.detail
    yield _named(clock if is_gateway else skipped("clock", "what answers is not the gateway"), left)
    if tls.result == "fail" or way.identity is None:
        reason = "what answers is not the gateway" if tls.result == "fail" else "not enrolled yet"
        for row in skip_all(left, reason):
            yield row
        return
    circumstances.tell("opening a websocket")
    for row in await check_line(circumstances, way, way.identity):
        yield row


def _named(row: Check, left: Iterator[str]) -> Check:
    """Take a check's name off what is left."""
    next(left)
    return row


async def _examine_jira(circumstances: Circumstances) -> AsyncGenerator[Check, None]:
    jira = circumstances.settings.jira_url
    if jira is None:
        action = "set it to Jira's base URL, e.g. https://jira.corp.local/jira"
        yield failed(OF_JIRA[0], "JIRA_AGENT_JIRA_URL is not set", action)
        for row in skip_all(OF_JIRA[1:], "Jira's address is not known"):
            yield row
        return
    circumstances.tell(f"connecting to {jira}")
    reached, origin, credentials = await _reach_jira(circumstances, jira)
    for row in reached:
        yield row
    if origin is None or any(row.result == "fail" for row in reached):
        for row in skip_all(OF_JIRA[len(reached) :], "there is no way to Jira"):
            yield row
        return
    async with open_desk(origin, credentials, user_agent()) as desk:
        circumstances.tell("asking Jira")
        there, info = await check_base_url(desk, jira)
        yield there
        if info is None:
            for row in skip_all(OF_JIRA[3:], "Jira was not found"):
                yield row
            return
        yield judge_version(info, jira, credentials.kind)
        login, account = await check_login(circumstances, desk, jira, credentials)
        yield login
        yield await check_webhook_permission(circumstances, desk, jira, account, info)


async def _reach_jira(
    circumstances: Circumstances, jira: JiraAddress
) -> tuple[list[Check], Origin | None, JiraCredentials]:
    """Make the checks up to Jira's TLS; with where it is asked, and by which login."""
    found = [await check_address(circumstances, jira)]
    credentials = JiraCredentials(CredentialKind.NONE)
    if found[0].result == "fail":
        return found, None, credentials
    try:
        origin = make_origin(circumstances.settings, jira)
        credentials = jira_credentials(circumstances.settings)
    except ConfigurationError as error:
        return [*found, failed(OF_JIRA[1], f"{error.variable}: {error.problem}", error.fix)], None, credentials
    return [*found, await check_jira_tls(circumstances, jira, origin.tls)], origin, credentials
