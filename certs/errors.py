"""Everything that certs refuses, as types with data.

Each error knows what failed (`problem`) and what to do next (`fix`); `str()` is both in one line. Nothing here holds
a secret: a refused code, key or message is described, never quoted.
"""

import stat
from enum import Enum
from pathlib import Path


class CertsError(Exception):
    """What all errors of this package have in common: one sentence on the problem, one on the fix."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}: {self.fix}"


class FileUnusable(CertsError):
    """A file of the PKI is missing, unreadable, or does not hold what it should."""

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        super().__init__(f"{path} {problem}", fix)
        self.path = path


class PrivateFileExposed(CertsError):
    """A private file or directory can be read or changed by other users of the machine."""

    def __init__(self, path: Path, mode: int, wanted: int) -> None:
        fix = f"run 'chmod {wanted:o} {path}'"
        if mode & stat.S_ISVTX:  # a place that everybody shares, such as /tmp: closing it would break the machine
            fix = "use a directory of its own"
        super().__init__(f"{path} has mode {mode:04o}, so other users can reach a private key", fix)
        self.path = path
        self.mode = mode
        self.wanted = wanted


class FileExists(CertsError):
    """Writing would destroy a file that cannot be made again."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already", "choose another place, or move it away first")
        self.path = path


class PairMismatch(CertsError):
    """The private key does not belong to the certificate beside it."""

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(f"the key {key} does not belong to the certificate {certificate}", "install both together")
        self.certificate = certificate
        self.key = key


class NameRejected(CertsError):
    """A name that certificates may not carry: of an agent, an instance, or a server."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name[:80]!r} is not a usable name", rule)
        self.name = name


class CertificateRejected(CertsError):
    """A certificate that does not say what it must say."""


class AuthorityUnfit(CertsError):
    """This CA cannot sign that: it is expired, or the lifetime asked for lies outside the profile."""


class CsrFlaw(Enum):
    """Why a certificate signing request was refused."""

    MALFORMED = "is not one PKCS #10 request in PEM"
    KEY = "is not for an ECDSA P-256 key"
    SIGNATURE = "is not signed by the key it names"


class CsrRejected(CertsError):
    """A certificate signing request that is not signed."""

    def __init__(self, flaw: CsrFlaw) -> None:
        super().__init__(
            f"the signing request {flaw.value}", "make a new key and request on the machine that will use it"
        )
        self.flaw = flaw


class CodeFlaw(Enum):
    """Why an enrolment code was refused before anything was sent anywhere."""

    PREFIX = "does not begin with jte_"
    DAMAGED = "is incomplete or mistyped"
    VERSION = "was made by a newer gateway than this program understands"
    ADDRESS = "does not name a tunnel address of the form wss://host[:port]"


class CodeRejected(CertsError):
    """An enrolment code that cannot be used. Never quotes the code."""

    def __init__(self, flaw: CodeFlaw) -> None:
        super().__init__(
            f"the enrolment code {flaw.value}", "copy the whole line that 'jira-gateway agents invite' printed"
        )
        self.flaw = flaw


class MessageRejected(CertsError):
    """A message of the enrolment exchange that breaks docs/protocol.md. Never quotes the message."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the enrolment message {problem}", "use the same release of agent and gateway")


class GatewayUntrusted(CertsError):
    """The gateway's answer does not fit the enrolment code or the agent's own key: somebody is in between."""


class RefusalReason(Enum):
    """Why a gateway does not enroll: the wire value, and what people should read."""

    CODE_REJECTED = "code_rejected"
    RATE_LIMITED = "rate_limited"
    BAD_REQUEST = "bad_request"
    INTERNAL = "internal"


_REFUSALS = {
    RefusalReason.CODE_REJECTED: (
        "the gateway does not accept this enrolment code (used, expired, revoked or unknown)",
        "ask the gateway's operator for a new one",
    ),
    RefusalReason.RATE_LIMITED: ("there were too many enrolment attempts from this address", "try again in a minute"),
    RefusalReason.BAD_REQUEST: (
        "the gateway did not understand the request",
        "use the same release of agent and gateway",
    ),
    RefusalReason.INTERNAL: ("the gateway failed to enroll this agent", "try again, or see the gateway's log"),
}


class EnrollmentRefused(CertsError):
    """The gateway answered, and the answer is no."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(*_REFUSALS[reason])
        self.reason = reason
