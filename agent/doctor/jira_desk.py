"""Asks Jira for the doctor: one GET after the other, at most once with the login. Knows no verdicts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from agent.addresses import JiraAddress
from agent.credentials import CredentialKind, JiraCredentials
from agent.settings import AgentSettings
from certs.errors import CertsError
from certs.shown import ShownCertificate, read_shown
from http1.client import ClientPool
from http1.errors import ClientFailure
from http1.fetch import Fetched, fetch
from http1.messages import NO_BODY, RequestHead
from http1.origin import Origin
from http1.sweep import Sweeper
from jira_api.readiness import NoAnswer

ASK_SECONDS = 10.0
SHAKE_SECONDS = 5.0
MAX_ANSWER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a server showed in a handshake, and why it was not believed."""

    certificate: ShownCertificate | None
    problem: str | None = None
    speaks_plain_http: bool = False


class JiraDesk:
    """The questions to one Jira: `ask` without a login, `ask_logged_in` with it."""

    def __init__(self, pool: ClientPool, credentials: JiraCredentials, user_agent: str) -> None:
        self._pool = pool
        self._credentials = credentials
        self._headers = [(b"Accept", b"application/json"), (b"User-Agent", user_agent.encode("ascii"))]

    @property
    def scheme(self) -> bytes:
        """The scheme of the login that is sent, as `classify_login` wants it."""
        return {CredentialKind.BASIC: b"basic", CredentialKind.BEARER: b"bearer"}.get(self._credentials.kind, b"")

    async def ask(self, target: bytes, method: bytes = b"GET") -> Fetched:
        """Return the answer to a request without a login; raises NoAnswer."""
        return await self._fetch(RequestHead(method, target, list(self._headers), NO_BODY))

    async def ask_logged_in(self, target: bytes) -> Fetched:
        """Return the answer to a GET with the login of the settings; raises NoAnswer."""
        headers = list(self._headers)
        self._credentials.inject(headers)
        return await self._fetch(RequestHead(b"GET", target, headers, NO_BODY))

    async def _fetch(self, head: RequestHead) -> Fetched:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await fetch(self._pool, head, MAX_ANSWER_BYTES)
        except ClientFailure as failure:
            raise NoAnswer(failure.reason) from None
        except TimeoutError:
            raise NoAnswer(f"no answer within {ASK_SECONDS:g} s") from None


@asynccontextmanager
async def open_desk(origin: Origin, credentials: JiraCredentials, user_agent: str) -> AsyncIterator[JiraDesk]:
    """Open a desk for the block."""
    sweeper = Sweeper()
    pool = ClientPool(origin, sweeper)
    failure: NoAnswer | None = None
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(pool.run()), tasks.create_task(sweeper.run())]
        await asyncio.sleep(0)  # the pool takes requests from its first turn on
        try:
            yield JiraDesk(pool, credentials, user_agent)
        except NoAnswer as error:
            failure = error  # the group would wrap it
        finally:
            for task in running:
                task.cancel()
    if failure is not None:
        raise failure


async def knock(settings: AgentSettings, jira: JiraAddress) -> None:
    """Connect to Jira's address and hang up; raises OSError (TimeoutError in time)."""
    local = None if settings.source_ip is None else (str(settings.source_ip), 0)
    async with asyncio.timeout(SHAKE_SECONDS):
        _, writer = await asyncio.open_connection(jira.host, jira.port, local_addr=local)
    writer.transport.abort()


async def shake_hands(settings: AgentSettings, jira: JiraAddress, trusted: ssl.SSLContext) -> Handshake:
    """Shake hands with the trusted CAs; when that fails, once more with anybody, to see who is there."""
    try:
        return Handshake(await _handshake(settings, jira, trusted))
    except ssl.SSLCertVerificationError as error:
        problem = error.verify_message
    except ssl.SSLError as error:
        problem = (error.reason or "no reason given").replace("_", " ").lower()
    except CertsError as error:
        problem = error.problem
    except (OSError, EOFError):
        problem = "the connection was closed, or no answer came in time"
    try:
        return Handshake(await _handshake(settings, jira, anybody()), problem)
    except (OSError, EOFError, CertsError):
        return Handshake(None, problem, await _speaks_plain_http(settings, jira))


async def _speaks_plain_http(settings: AgentSettings, jira: JiraAddress) -> bool:
    """Ask without TLS, and without a login: a port that answers so was only misnamed."""
    local = None if settings.source_ip is None else (str(settings.source_ip), 0)
    with suppress(OSError, EOFError):
        async with asyncio.timeout(SHAKE_SECONDS):
            reader, writer = await asyncio.open_connection(jira.host, jira.port, local_addr=local)
            try:
                writer.write(
                    f"HEAD / HTTP/1.1\r\nHost: {jira.host_header}\r\nConnection: close\r\n\r\n".encode("ascii")
                )
                return await reader.readexactly(5) == b"HTTP/"
            finally:
                writer.transport.abort()
    return False


async def _handshake(settings: AgentSettings, jira: JiraAddress, context: ssl.SSLContext) -> ShownCertificate:
    local = None if settings.source_ip is None else (str(settings.source_ip), 0)
    async with asyncio.timeout(SHAKE_SECONDS):
        _, writer = await asyncio.open_connection(jira.host, jira.port, ssl=context, local_addr=local)
    try:
        return read_shown(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    finally:
        writer.transport.abort()


def anybody() -> ssl.SSLContext:
    """Return a context that shakes hands with everybody, to see who is there; nothing is sent on its sockets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
