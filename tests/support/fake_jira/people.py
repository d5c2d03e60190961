"""Users, their passwords, tokens and sessions, and how Seraph (Jira's login filter) judges a request.

Passwords here are throw-away values of an invented Jira; tests also use them as canaries.
"""

import base64
import binascii
import itertools
from dataclasses import dataclass, field

CAPTCHA_AFTER = 3


@dataclass(slots=True, eq=False)
class User:
    """One account. `groups` decide what it may do (permissions.py)."""

    name: str
    display_name: str
    number: int
    groups: set[str] = field(default_factory=set)
    password: str = ""
    token: str = ""  # the PAT; the API token on Cloud
    active: bool = True
    application_access: bool = True
    failed_logins: int = 0
    login_count: int = 211
    captcha: bool = False
    time_zone: str = "Europe/Madrid"

    def __post_init__(self) -> None:
        self.password = self.password or f"password-of-{self.name}"
        self.token = self.token or f"pat-{self.number}-of-{self.name}"

    @property
    def email(self) -> str:
        """Also the login name on Cloud."""
        return f"{self.name}@corp.example"

    @property
    def account_id(self) -> str:
        """Cloud's identifier."""
        return f"5f00aa11bb22cc33dd4{self.number:05d}"

    @property
    def is_admin(self) -> bool:
        """Holds the global permission ADMINISTER."""
        return "jira-administrators" in self.groups


@dataclass(frozen=True, slots=True)
class Login:
    """How a request was judged: `user` None is anonymous; `reason` is X-Seraph-LoginReason; `refusal` names
    the situation of fixtures/errors.json that is the answer (None: go on).
    """

    user: User | None = None
    reason: str | None = None
    refusal: str | None = None
    session: str | None = None


class People:
    """All accounts of one stand-in, by login name, and their sessions."""

    def __init__(self, *, cloud: bool, pat: bool) -> None:
        self.users: dict[str, User] = {}
        self.sessions: dict[str, User] = {}
        self.basic_auth = True
        self.failed_login_is_anonymous = False  # some resources of some versions: 200 with nothing in it
        self._cloud = cloud
        self._pat = pat
        self._session_numbers = itertools.count(0x6E3A0F6C)

    def add(self, user: User) -> User:
        """Register an account."""
        self.users[user.name] = user
        return user

    def find(self, name: str) -> User | None:
        """By login name, key or account id."""
        if name in self.users:
            return self.users[name]
        return next((u for u in self.users.values() if name in {f"JIRAUSER{u.number}", u.account_id, u.email}), None)

    def open_session(self, user: User) -> str:
        """A new JSESSIONID; the oldest of more than 10,000 is dropped."""
        value = f"{next(self._session_numbers):08X}1B7D4E21A9F00C55D2B8AA10"
        self.sessions[value] = user
        if len(self.sessions) > 10_000:
            del self.sessions[next(iter(self.sessions))]
        return value

    def judge(self, authorization: str | None, cookie: str | None) -> Login:
        """Session first, as Seraph does (so a foreign cookie beats one's own password), then Authorization."""
        session = session_of(cookie)
        if session is not None and session in self.sessions:
            return Login(self.sessions[session], "OK", session=session)
        scheme, _, credentials = (authorization or "").partition(" ")
        if scheme.lower() == "basic":
            return self._judge_basic(credentials)
        if scheme.lower() == "bearer" and self._pat:
            user = next((u for u in self.users.values() if u.token == credentials.strip()), None)
            if user is None:
                return Login(refusal="anonymous-needs-login")
            return Login(user, "OK")
        return Login()

    def _judge_basic(self, credentials: str) -> Login:
        try:
            name, colon, password = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Login()
        if not colon:
            return Login()
        if not self.basic_auth:
            return Login(refusal="basic-disabled")
        return self.check_password(name, password)

    def check_password(self, name: str, password: str) -> Login:
        """One login attempt; it counts towards the CAPTCHA."""
        user = self.find(name)
        if user is not None and user.captcha:
            return Login(reason="AUTHENTICATION_DENIED", refusal="captcha-required")
        expected = None if user is None else user.token if self._cloud else user.password
        if user is None or password != expected or not user.active:
            if user is not None:
                user.failed_logins += 1
                user.captcha = user.failed_logins >= CAPTCHA_AFTER and not self._cloud
            refusal = None if self.failed_login_is_anonymous else "wrong-password"
            return Login(reason="AUTHENTICATED_FAILED", refusal=refusal)
        user.failed_logins = 0
        user.login_count += 1
        if not user.application_access:
            return Login(reason="AUTHORISATION_FAILED", refusal="no-application-access")
        return Login(user, "OK")


def session_of(cookie: str | None) -> str | None:
    """The JSESSIONID of a Cookie header."""
    for part in (cookie or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "JSESSIONID":
            return value
    return None
