"""What became of the login of a request, told from Jira's answer by status and headers, never by text.

Jira's messages are localised, its headers are not: Seraph (the login filter) says how the login went in
`X-Seraph-LoginReason` and `X-Authentication-Denied-Reason`, the access log filter names the user in `X-AUSERNAME`
(Cloud: `X-AAccountId`). Classification runs on every answer, so that where these headers are is looked up per set of
header names. The situations are those of docs/facts.md J8; a front door that asks for a login of its own (SSO) is
told by its web page in the place of JSON and by the absence of Jira's own headers.
"""

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]


class LoginVerdict(Enum):
    """How a login went; `slug` is what callers see, `is_refusal` whether these credentials were turned down.

    Credentials that were turned down must not be tried again until they change: three failures lock the account.
    """

    OK = ("ok", False)
    WRONG_PASSWORD = ("wrong_password", True)
    CAPTCHA = ("captcha", True)
    ANONYMOUS = ("anonymous", False)
    REFUSED_BUT_SERVED = ("anonymous", True)  # a wrong password, answered as to nobody in particular
    LOGIN_REQUIRED = ("login_required", False)
    NO_APPLICATION_ACCESS = ("no_application_access", False)
    BASIC_DISABLED = ("basic_disabled", False)
    TOKEN_EXPIRED = ("token_expired", True)
    SSO_PAGE = ("sso_page", False)

    @property
    def slug(self) -> str:
        """The stable name."""
        return self.value[0]

    @property
    def is_refusal(self) -> bool:
        """Whether trying the same credentials again is pointless or harmful."""
        return self.value[1]


BY_SLUG = {verdict.slug: verdict for verdict in reversed(LoginVerdict)}

_MAX_PLANS = 128  # of up to 64 KiB each, when a server makes up names
_ANONYMOUS = b"anonymous"
_HTML = re.compile(rb"\s*(?:text/html|application/xhtml\+xml)\s*(?:;|\Z)", re.IGNORECASE)
_JSON = re.compile(rb"\s*application/(?:[^;]*\+)?json\s*(?:;|\Z)", re.IGNORECASE)
_LOGIN_PAGE = re.compile(rb"[^?#]*/login(?:\.jsp|\.action)?/?(?:[?#]|\Z)", re.IGNORECASE)
_REDIRECTS = frozenset({301, 302, 303, 307})
# Answers that lead to another host on purpose (Cloud's media), or that may be a web page because somebody attached one.
_FILES = re.compile(r"/rest/api/[^/]+/attachment/(?:content|thumbnail)/|/rest/api/[^/]+/.*avatar")


class _Signs(NamedTuple):
    """Where in an answer's headers the signs of a login are."""

    reasons: tuple[int, ...]
    denied: int | None
    user: int | None
    challenge: int | None
    content_type: int | None
    location: int | None
    is_jiras: bool


def classify_login(status: int, headers: Headers, path: str, scheme: bytes | None = None) -> LoginVerdict | None:
    """Return how the login of a request went, None when its answer does not tell.

    `path` is decoded, below Jira's base URL. `scheme` is the lower-case scheme of the Authorization that was sent to
    Jira, b"" when none was, None when that is not known: it tells an expired token from no login at all.
    """
    signs = _signs(tuple([pair[0] for pair in headers]))
    user = None if signs.user is None else headers[signs.user][1]
    if signs.reasons or signs.denied is not None:
        failure = _stated_failure(status, headers, signs, user)
        if failure is not None:
            return failure
    if user is not None and user and user != _ANONYMOUS:
        return LoginVerdict.OK
    return _unstated(status, headers, path, scheme, signs)


@lru_cache(maxsize=_MAX_PLANS)
def _signs(names: tuple[bytes, ...]) -> _Signs:
    lower = [name.lower() for name in names]

    def at(*wanted: bytes) -> int | None:
        return next((index for index, name in enumerate(lower) if name in wanted), None)

    return _Signs(
        reasons=tuple(index for index, name in enumerate(lower) if name == b"x-seraph-loginreason"),
        denied=at(b"x-authentication-denied-reason"),
        user=at(b"x-ausername", b"x-aaccountid"),
        challenge=at(b"www-authenticate"),
        content_type=at(b"content-type"),
        location=at(b"location"),
        is_jiras=at(b"x-arequestid", b"x-ausername", b"x-aaccountid", b"x-seraph-loginreason") is not None,
    )


def _stated_failure(status: int, headers: Headers, signs: _Signs, user: bytes | None) -> LoginVerdict | None:
    """Return the failure that Seraph names. A user's name outweighs AUTHENTICATED_FAILED: another filter let it in."""
    stated = b",".join([headers[index][1] for index in signs.reasons])
    if stated == b"OK" and signs.denied is None:
        return None
    if signs.denied is not None or b"AUTHENTICATION_DENIED" in stated:
        return LoginVerdict.CAPTCHA
    if b"AUTHORISATION_FAILED" in stated or b"AUTHORIZATION_FAILED" in stated:
        return LoginVerdict.NO_APPLICATION_ACCESS
    if b"AUTHENTICATED_FAILED" in stated and user in {None, b"", _ANONYMOUS}:
        return LoginVerdict.WRONG_PASSWORD if status >= 400 else LoginVerdict.REFUSED_BUT_SERVED
    return None


def _unstated(status: int, headers: Headers, path: str, scheme: bytes | None, signs: _Signs) -> LoginVerdict | None:
    """Judge an answer without a word from Seraph, and to nobody whom Jira names."""
    if signs.reasons and headers[signs.reasons[-1]][1] == b"OK":
        return LoginVerdict.OK
    content_type = b"" if signs.content_type is None else headers[signs.content_type][1]
    if status == 401:
        return _unauthorized(content_type, scheme, signs)
    if status == 403 and signs.user is not None and scheme in {None, b"basic"} and _JSON.match(content_type):
        return LoginVerdict.BASIC_DISABLED
    if status in _REDIRECTS:
        return _redirected(headers, path, signs)
    is_page = 200 <= status < 300 and path.startswith("/rest/") and _HTML.match(content_type) is not None
    if is_page and not _FILES.match(path):
        return LoginVerdict.SSO_PAGE
    return None if signs.user is None or status >= 500 else LoginVerdict.ANONYMOUS


def _unauthorized(content_type: bytes, scheme: bytes | None, signs: _Signs) -> LoginVerdict | None:
    """Judge a 401: a denied permission names its user, so that here nobody has logged in."""
    if signs.user is None and signs.challenge is None:
        return None if signs.is_jiras else LoginVerdict.LOGIN_REQUIRED
    if scheme == b"bearer":
        return LoginVerdict.TOKEN_EXPIRED
    if scheme == b"basic" and _HTML.match(content_type):  # the page of a failed login, its reason lost on the way
        return LoginVerdict.WRONG_PASSWORD
    return LoginVerdict.LOGIN_REQUIRED


def _redirected(headers: Headers, path: str, signs: _Signs) -> LoginVerdict | None:
    """Judge a redirect: Jira's own leads to its login page, and so does that of a front door, which is not Jira."""
    location = b"" if signs.location is None else headers[signs.location][1]
    if _LOGIN_PAGE.match(location) and (signs.is_jiras or b"/login.jsp" in location):
        return LoginVerdict.LOGIN_REQUIRED
    if signs.is_jiras or not path.startswith(("/rest/", "/secure/")) or _FILES.match(path):
        return None
    return LoginVerdict.SSO_PAGE


class LoginAdvice(NamedTuple):
    """A verdict for people: what happened, and what to do about it."""

    meaning: str
    action: str


ADVICE: dict[LoginVerdict, LoginAdvice] = {
    LoginVerdict.OK: LoginAdvice("Jira accepted the login.", ""),
    LoginVerdict.WRONG_PASSWORD: LoginAdvice(
        "Jira refused the user name and password.",
        "Set the right password once; do not try it in a loop, or Jira locks the account.",
    ),
    LoginVerdict.CAPTCHA: LoginAdvice(
        "After failed logins Jira asks this account for a CAPTCHA, and until then refuses the right password too.",
        "Log in once with a browser as this account, or let an administrator reset its failed login count in Jira's "
        "user management.",
    ),
    LoginVerdict.ANONYMOUS: LoginAdvice(
        "Jira answered as to an anonymous visitor: no login reached it, or it ignored the one it got. An empty list "
        "then means nothing.",
        "Check that the connection has credentials; a personal access token needs Jira 8.14 or later.",
    ),
    LoginVerdict.REFUSED_BUT_SERVED: LoginAdvice(
        "Jira refused the login and answered as to an anonymous visitor. An empty list then means nothing.",
        "Set the right password or token once; do not try it in a loop, or Jira locks the account.",
    ),
    LoginVerdict.LOGIN_REQUIRED: LoginAdvice(
        "Jira wants a login here and did not get one that it knows.",
        "Check that the connection has credentials of a kind that this Jira accepts.",
    ),
    LoginVerdict.NO_APPLICATION_ACCESS: LoginAdvice(
        "The password is right, but the account may not use any Jira application.",
        "An administrator adds the account to a group of Jira administration > Applications > Application access.",
    ),
    LoginVerdict.BASIC_DISABLED: LoginAdvice(
        "This Jira has basic authentication switched off.",
        "Use a personal access token instead of a password.",
    ),
    LoginVerdict.TOKEN_EXPIRED: LoginAdvice(
        "Jira does not accept the token: it has expired, was revoked, or never was one of this Jira.",
        "Make a new personal access token in the account's profile and set it.",
    ),
    LoginVerdict.SSO_PAGE: LoginAdvice(
        "A login page answered in the place of Jira: single sign-on or a proxy stands in front of it.",
        "Let the agent's address pass to /rest without the login page, or use Jira's internal address.",
    ),
}
