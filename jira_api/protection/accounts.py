"""What is known of the logins that are used at one Jira: refused, on trial, told to wait.

Three refused passwords lock an account for everything it is used for. So a stored login that Jira turned down is not
used again until it changes, and one that was not accepted lately goes with one request first: the others wait for what
becomes of it, or fifty requests at once would be fifty refused passwords. A caller's own login is the caller's affair:
of that only a rate limit is remembered.
"""

from typing import Final

from jira_api.logins import LoginVerdict

PROOF_SECONDS: Final = 600.0
"""For how long a login that was accepted counts as right."""
TRIAL_SECONDS: Final = 0.5
"""After this long without an outcome the others go too: a refusal comes fast, and this may be a search or an upload."""
MAX_ACCOUNTS: Final = 1024


class Account:
    """One login. `refusal` is Jira's verdict on a stored one that must not be used again, `refused_at` clock time."""

    __slots__ = ("_accepted_at", "_is_stored", "_trial", "_trial_began_at", "paused_until", "refusal", "refused_at")

    def __init__(self, *, is_stored: bool) -> None:
        self._is_stored = is_stored
        self._accepted_at = float("-inf") if is_stored else float("inf")
        self._trial: object | None = None
        self._trial_began_at = 0.0
        self.paused_until = 0.0
        self.refusal: LoginVerdict | None = None
        self.refused_at = 0.0

    def __repr__(self) -> str:
        verdict = "usable" if self.refusal is None else self.refusal.slug
        return f"<Account {verdict} stored={self._is_stored} trial={self._trial is not None}>"

    @property
    def trial_ends(self) -> float:
        """Until when others wait for the request on trial."""
        return self._trial_began_at + TRIAL_SECONDS if self._trial is not None else 0.0

    def may_go(self, now: float) -> bool:
        """Say whether a request may use this login now."""
        if now < self.paused_until or self.refusal is not None:
            return False
        return now - self._accepted_at < PROOF_SECONDS or now >= self.trial_ends

    def goes(self, request: object, now: float) -> None:
        """Note that a request uses it: the one on trial, unless the login is proven or another is."""
        if self._trial is None and now - self._accepted_at >= PROOF_SECONDS:
            self._trial, self._trial_began_at = request, now

    def judged(self, request: object, verdict: LoginVerdict | None, now: float, *, is_proof: bool) -> bool:
        """Note what Jira's answer says of the login; return whether this changes who may go."""
        if not self._is_stored:
            return False
        if verdict is not None and verdict.is_refusal:
            is_news, self.refusal, self.refused_at = self.refusal is None, verdict, now
            return is_news
        was_on_trial = self._trial is not None
        if is_proof:
            self._accepted_at = now
            self._trial = None
        elif self._trial is request:
            self._trial = None
        return was_on_trial

    def let_go(self, request: object) -> bool:
        """Note that a request is over; return whether others waited for its outcome."""
        if self._trial is not request:
            return False
        self._trial = None
        return True

    def pause(self, until: float) -> None:
        """Send nothing with this login before `until`."""
        self.paused_until = max(self.paused_until, until)


class Accounts:
    """The logins at one Jira. Told apart by the hash of the header that carries them: no secret is kept here."""

    __slots__ = ("_callers", "_stored", "own")

    def __init__(self) -> None:
        self.own = Account(is_stored=True)
        """The login of this program's own settings."""
        self._stored: dict[int, Account] = {}
        self._callers: dict[int, Account] = {}

    def __repr__(self) -> str:
        return f"<Accounts own={self.own!r} stored={len(self._stored)} callers={len(self._callers)}>"

    @property
    def refused(self) -> list[Account]:
        """The logins that are not used any more."""
        return [account for account in (self.own, *self._stored.values()) if account.refusal is not None]

    def stored(self, authorization: bytes) -> Account:
        """Return the account of a login that somebody has stored for us."""
        key = hash(authorization)
        account = self._stored.get(key)
        if account is None:
            account = self._stored[key] = Account(is_stored=True)
            _bound(self._stored)
        return account

    @property
    def are_callers_known(self) -> bool:
        """Whether anything is known of any caller's own login."""
        return bool(self._callers)

    def of_caller(self, login: bytes) -> Account | None:
        """Return the account of a caller's own login, None while nothing is known of it."""
        return self._callers.get(hash(login))

    def remember_caller(self, login: bytes) -> Account:
        """Return the account of a caller's own login from now on."""
        account = self._callers.setdefault(hash(login), Account(is_stored=False))
        _bound(self._callers)
        return account

    def forget_idle(self, now: float) -> None:
        """Forget callers' logins that need not wait any more."""
        for key in [key for key, account in self._callers.items() if account.paused_until <= now]:
            del self._callers[key]

    def renew_own(self) -> None:
        """The login of the settings has changed: nothing is known of the new one."""
        self.own = Account(is_stored=True)

    def renew(self) -> None:
        """A person says that all logins may be tried again."""
        self.own = Account(is_stored=True)
        self._stored.clear()


def _bound(accounts: dict[int, Account]) -> None:
    """Forget the oldest account, one that is held back last: forgetting it would try its password again."""
    if len(accounts) > MAX_ACCOUNTS:
        oldest = next((key for key, account in accounts.items() if account.refusal is None), next(iter(accounts)))
        del accounts[oldest]
