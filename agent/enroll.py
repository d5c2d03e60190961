"""Enrolment: a one-time code becomes a key and a certificate in the state directory.

Two visits to the gateway (certs.enrollment has the messages). The first trusts nobody and sends nothing: it fetches the
CA and compares it with the code's fingerprint. The second verifies CA and host name, and only then sends the secret
and a signing request for a key that was made here and never leaves. Running it again is safe: until the last file is
written, whatever was there before stays in use.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from ssl import DER_cert_to_PEM_cert, SSLContext

from websockets.exceptions import ConnectionClosed

from agent.addresses import GatewayAddress
from agent.dialer import ProxyRoute, Websocket, open_websocket
from agent.errors import Cause, DialError
from agent.identity import store_identity
from agent.sighting import look
from certs.certificates import AgentCertificate, issuer_of, read_certificates
from certs.csr import make_csr
from certs.enrollment import (
    MAX_CA_BYTES,
    MAX_GRANT_BYTES,
    EnrollmentCode,
    EnrollmentGrant,
    EnrollmentRequest,
    check_ca,
    secret_hash,
)
from certs.errors import CertsError, GatewayUntrusted
from certs.files import private_directory, read_public, write_public
from certs.keys import make_key
from certs.tls import agent_context, unverified_context
from runtime.exits import DENIED, UNAVAILABLE, CommandFailed

ENROLL_PATH = "/enroll/v1"
ANSWER_SECONDS = 10.0
CODE_FILE = "enrolled-code.sha256"

# Nobody has been verified yet when these come: it may as well be a middlebox as a gateway.
_STRANGERS = frozenset({Cause.NOT_A_GATEWAY, Cause.HANDSHAKE_CUT, Cause.CERTIFICATE_REJECTED})
_STRANGER_ACTION = "exempt the gateway from TLS inspection, or ask for the right address; nothing secret was sent"


class EnrollmentFailed(CommandFailed):
    """No certificate was obtained; nothing in the state directory has changed."""


async def enroll(code: EnrollmentCode, directory: Path, route: ProxyRoute, user_agent: str) -> AgentCertificate:
    """Enroll this machine and store what it got.

    Raises:
        EnrollmentFailed: one line with what failed and what to do; status 69 when the gateway was not reached.
    """
    gateway = GatewayAddress.parse(code.address)
    try:
        private_directory(directory)  # before the code is spent: a grant that cannot be stored is lost
        ca = await _fetch_ca(code, gateway, route, user_agent)
        key = make_key()
        request = EnrollmentRequest(code.secret, make_csr(key)).to_json()
        answer = await _ask(request, gateway, agent_context(ca), route, user_agent)
        grant = EnrollmentGrant.from_json(answer)
        certificate = grant.check(key, code.ca_fingerprint)
        store_identity(directory, key, grant.certificate, grant.ca_bundle, gateway)
        _note_code(directory, code)
    except DialError as error:
        status = UNAVAILABLE if error.cause.is_transient else DENIED
        raise EnrollmentFailed(await _line(error, gateway, route, user_agent), status) from None
    except CertsError as error:
        raise EnrollmentFailed(str(error), DENIED) from None
    return certificate


def is_used(directory: Path, code: EnrollmentCode) -> bool:
    """Tell whether the identity in this directory came from this very code, which no gateway takes twice."""
    try:
        return read_public(directory / CODE_FILE).strip() == secret_hash(code.secret).hex().encode("ascii")
    except CertsError:
        return False


def _note_code(directory: Path, code: EnrollmentCode) -> None:
    """Remember the code's hash, so that running the same command again is known to be that."""
    with suppress(CertsError):  # the identity is there, and that is what counts
        write_public(directory / CODE_FILE, secret_hash(code.secret).hex().encode("ascii") + b"\n")


async def fetch_offered_ca(gateway: GatewayAddress, route: ProxyRoute, user_agent: str) -> bytes:
    """Return what this address says is its CA (PEM, unchecked), from a socket that nothing was sent on.

    Raises:
        DialError: there is no gateway.
    """
    websocket = await open_websocket(gateway, ENROLL_PATH, unverified_context(), route, user_agent)
    try:
        return await _receive(websocket, gateway, MAX_CA_BYTES)
    finally:
        websocket.transport.abort()


async def _fetch_ca(code: EnrollmentCode, gateway: GatewayAddress, route: ProxyRoute, user_agent: str) -> bytes:
    """Return the CA that the code names, from a socket that nothing was sent on."""
    websocket = await open_websocket(gateway, ENROLL_PATH, unverified_context(), route, user_agent)
    try:
        message = await _receive(websocket, gateway, MAX_CA_BYTES)
        ca = check_ca(message, code.ca_fingerprint)
        _check_issuer(websocket, gateway, ca)
    finally:
        websocket.transport.abort()
    return ca


def _check_issuer(websocket: Websocket, gateway: GatewayAddress, ca: bytes) -> None:
    """Name who signed the certificate of this socket when it was not the CA: a proxy that opens TLS."""
    tls = websocket.transport.get_extra_info("ssl_object")
    shown = read_certificates(DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)).encode())[0]
    if issuer_of(shown, read_certificates(ca)) is None:
        issuer = shown.issuer.rfc4514_string()[:100]
        raise GatewayUntrusted(
            f"TLS to {gateway} is intercepted: its certificate was issued by {issuer}, not by the gateway's CA",
            "exempt the gateway from TLS inspection; nothing secret was sent",
        )


async def _ask(
    request: bytes, gateway: GatewayAddress, context: SSLContext, route: ProxyRoute, user_agent: str
) -> bytes:
    websocket = await open_websocket(gateway, ENROLL_PATH, context, route, user_agent)
    try:
        await _receive(websocket, gateway, MAX_CA_BYTES)  # the CA again: verified by TLS this time
        async with asyncio.timeout(ANSWER_SECONDS):
            await websocket.send(request)
        return await _receive(websocket, gateway, MAX_GRANT_BYTES)
    except (ConnectionClosed, TimeoutError) as error:
        raise DialError(Cause.HANDSHAKE_CUT, f"{gateway} gave no answer to the enrolment") from error
    finally:
        websocket.transport.abort()


async def _receive(websocket: Websocket, gateway: GatewayAddress, limit: int) -> bytes:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            message = await websocket.recv()
    except (ConnectionClosed, TimeoutError) as error:
        raise DialError(Cause.HANDSHAKE_CUT, f"{gateway} ended the enrolment") from error
    content = message.encode() if isinstance(message, str) else message
    if len(content) > limit:
        raise DialError(Cause.NOT_A_GATEWAY, f"{gateway} sent too long a message")
    return content


async def _line(error: DialError, gateway: GatewayAddress, route: ProxyRoute, user_agent: str) -> str:
    if error.cause is Cause.GATEWAY_UNTRUSTED:
        # The CA is the right one by now, so it is the name or the dates: to a wrong clock every certificate is expired.
        return (
            f"{error.reason}; check this machine's clock, and that the address is the one in the gateway's certificate"
        )
    if error.cause in _STRANGERS:
        with suppress(DialError):
            seen = (await look(gateway, route, user_agent)).certificate
            issuer = "shows no certificate" if seen is None else f"shows a certificate issued by {seen.issuer}"
            return f"{error.reason}: what answers there is no gateway, and {issuer}; {_STRANGER_ACTION}"
    return str(error)
