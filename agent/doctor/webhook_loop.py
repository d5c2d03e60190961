"""The webhook loop: the URL that Jira gets is called from here, and must lead to this agent's own listener.

With the agent running, a hook that nobody knows is posted to: the answer must be 404, and the running agent must have
counted it. Without, this listens for a moment where the agent would, and must see the request itself. Whether Jira's
machine may come here is not known from this one; what differs is told.
"""

import asyncio
import secrets
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from agent.addresses import DEFAULT_PORTS
from agent.credentials import CredentialKind, JiraCredentials
from agent.doctor.check import Check, Circumstances, failed, passed, skipped
from agent.doctor.jira_desk import open_desk
from agent.errors import describe
from agent.settings import AgentSettings
from http1.origin import Origin
from jira_api.readiness import NoAnswer
from runtime.address import Address
from runtime.configuration import ConfigurationError
from runtime.control import call
from runtime.exits import CommandFailed
from runtime.server_tls import load_pair

NAME: Final = "webhook-loop"
STATUS_SECONDS: Final = 5.0
MAX_HEAD: Final = 8192
ACTION: Final = "JIRA_AGENT_WEBHOOK_URL must lead to JIRA_AGENT_WEBHOOK_LISTEN here: see names, firewalls, proxies"


async def check_webhook_loop(circumstances: Circumstances) -> Check:
    """Call the webhook URL, and see whether this agent gets it."""
    settings = circumstances.settings
    listen, url = settings.webhook_listen, settings.webhook_base_url()
    if listen is None or url is None:
        return skipped(NAME, "JIRA_AGENT_WEBHOOK_LISTEN is not set: this agent takes no webhooks")
    if circumstances.running is not None:
        return await _through_agent(circumstances, circumstances.running, url)
    if listen.port == 0:
        return skipped(NAME, "the port is of the system's choice, and no agent runs")
    try:
        return await _through_stand_in(settings, listen, url)
    except ConfigurationError as error:
        return failed(NAME, f"{error.variable}: {error.problem}", error.fix)
    except OSError as error:
        detail = f"JIRA_AGENT_WEBHOOK_LISTEN={listen} cannot be listened on ({describe(error)})"
        return failed(NAME, detail, "choose a free address of this machine")


async def _through_agent(circumstances: Circumstances, page: Mapping[str, Any], url: str) -> Check:
    webhooks = page.get("webhooks") or {}
    if not webhooks.get("listening"):
        return skipped(
            NAME, "the running agent does not listen for webhooks yet: it was started with other settings, or waits"
        )
    before = unknown_hooks(page)
    status, problem = await post(circumstances.settings, webhooks.get("url") or url)
    if problem is not None:
        return failed(NAME, f"{url}: {problem}", ACTION)
    try:
        after = await asyncio.to_thread(call, circumstances.settings.state_dir, "status", seconds=STATUS_SECONDS)
    except CommandFailed as failure:
        return skipped(NAME, failure.line)
    return judge(url, status, is_counted=unknown_hooks(after) > before)


async def _through_stand_in(settings: AgentSettings, listen: Address, url: str) -> Check:
    seen = asyncio.Event()
    nonce = secrets.token_hex(16)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(STATUS_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                is_ours = nonce.encode() in head.partition(b"\r\n")[0]
                if is_ours:
                    seen.set()
                status = b"404 Not Found" if is_ours else b"503 Service Unavailable"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
                await writer.drain()
        writer.close()

    files = (settings.webhook_cert_file, settings.webhook_key_file)
    tls = (
        None if files[0] is None or files[1] is None else load_pair(files[0], files[1], "JIRA_AGENT_WEBHOOK_CERT_FILE")
    )
    server = await asyncio.start_server(serve, listen.host, listen.port, ssl=tls, limit=MAX_HEAD)
    try:
        status, problem = await post(settings, url, nonce)
    finally:
        server.close()
    if problem is not None:
        return failed(NAME, f"{url}: {problem}", ACTION)
    return judge(url, status, is_counted=seen.is_set())


async def post(settings: AgentSettings, url: str, hook: str | None = None) -> tuple[int, str | None]:
    """Post to a hook that nobody knows: the status of the answer, or why there is none."""
    parts = urlsplit(url)
    try:
        tls = _trusting(settings) if parts.scheme == "https" else None
    except (OSError, ssl.SSLError) as error:
        return 0, f"the certificate of the listener cannot be read ({error})"
    host = parts.hostname or ""
    origin = Origin(host, parts.port or DEFAULT_PORTS[parts.scheme], tls, host, parts.netloc.encode("ascii"))
    target = f"{parts.path}/hooks/{hook or secrets.token_hex(16)}"
    try:
        async with open_desk(origin, JiraCredentials(CredentialKind.NONE), "jira-agent-doctor") as desk:
            return (await desk.ask(target.encode("ascii"), b"POST")).status, None
    except NoAnswer as failure:
        return 0, failure.reason


def judge(url: str, status: int, *, is_counted: bool) -> Check:
    """Say what the answer means; `is_counted` when our own listener has seen the request."""
    if is_counted and status == 404:
        return passed(NAME, f"{url} leads to this agent's listener, called from this machine")
    if is_counted:
        return failed(
            NAME, f"{url} leads here, but its answer came back as {status}", "see the proxy before the listener"
        )
    return failed(NAME, f"{url} was answered with {status} by something else than this agent", ACTION)


def unknown_hooks(page: Mapping[str, Any]) -> int:
    """Return how many posts to unknown hooks the running agent has counted."""
    webhooks = page.get("webhooks") or {}
    return int((webhooks.get("refused") or {}).get("unknown_hook", 0))


def _trusting(settings: AgentSettings) -> ssl.SSLContext:
    """Return a context that believes the system's CAs and the listener's own certificate, if name and dates fit."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if settings.webhook_cert_file is not None:
        context.load_verify_locations(cafile=settings.webhook_cert_file)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
