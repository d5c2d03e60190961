"""The built-in policy profiles and the never-list, as data.

Every profile starts from `read-only`; `full-rest` allows every method on the same prefixes. The gateway
evaluates read-only tokens with the same rules. Paths are relative to Jira's base URL (the WADL of Jira 8.4,
the agile 1.0 reference).
"""

from jira_api.rules import METHODS, Rule, RuleSet

_READ = frozenset({"GET", "HEAD", "OPTIONS"})
_API = "/rest/api/{2,3,latest}"
_AGILE = "/rest/agile/1.0"
_FILES = "{attachment,thumbnail,attachmentzip,useravatar}"
_HOOKS = ("/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks")

# The prefixes of read-only and full-rest: rule id suffix -> pattern.
_PREFIXES = {
    "api": f"{_API}/**",
    "agile": f"{_AGILE}/**",
    "servicedesk": "/rest/servicedeskapi/**",
    "files": f"/secure/{_FILES}/**",
}

# Writes of the profile "issues": rule id -> (methods, patterns).
_ISSUE_WRITES: dict[str, tuple[str, tuple[str, ...]]] = {
    "issue-create": ("POST", (f"{_API}/issue", f"{_API}/issue/bulk")),
    "issue-edit": ("PUT DELETE", (f"{_API}/issue/*",)),
    "issue-assign": ("PUT", (f"{_API}/issue/*/assignee",)),
    "issue-transition": ("POST", (f"{_API}/issue/*/transitions",)),
    "issue-property": ("PUT DELETE", (f"{_API}/issue/*/properties/*",)),
    "issue-subtask": ("POST", (f"{_API}/issue/*/subtask/move",)),
    "comment": ("POST PUT DELETE", (f"{_API}/issue/*/comment", f"{_API}/issue/*/comment/*")),
    "comment-property": ("PUT DELETE", (f"{_API}/comment/*/properties/*",)),
    "attachment": ("POST", (f"{_API}/issue/*/attachments",)),
    "attachment-delete": ("DELETE", (f"{_API}/attachment/*",)),
    "issue-link": ("POST DELETE", (f"{_API}/issueLink", f"{_API}/issueLink/*")),
    "remote-link": ("POST PUT DELETE", (f"{_API}/issue/*/remotelink", f"{_API}/issue/*/remotelink/*")),
    "worklog": ("POST PUT DELETE", (f"{_API}/issue/*/worklog", f"{_API}/issue/*/worklog/**")),
    "watchers": ("POST DELETE", (f"{_API}/issue/*/watchers",)),
    "votes": ("POST DELETE", (f"{_API}/issue/*/votes",)),
    "version": ("POST PUT DELETE", (f"{_API}/version", f"{_API}/version/**")),
    "component": ("POST PUT DELETE", (f"{_API}/component", f"{_API}/component/**")),
    "sprint": ("POST PUT DELETE", (f"{_AGILE}/sprint", f"{_AGILE}/sprint/**")),
    "sprint-backlog": ("POST", (f"{_AGILE}/backlog/issue", f"{_AGILE}/backlog/*/issue")),
    "issue-rank": ("PUT", (f"{_AGILE}/issue/rank",)),
    "issue-estimation": ("PUT", (f"{_AGILE}/issue/*/estimation",)),
    "epic-issues": ("POST", (f"{_AGILE}/epic/*/issue",)),
}


def _rules(rule_id: str, methods: frozenset[str], *paths: str, caller_only: bool = False) -> tuple[Rule, ...]:
    return tuple(Rule(rule_id, methods, path, guarded=True, caller_only=caller_only) for path in dict.fromkeys(paths))


_SESSION = "/rest/auth/1/session"

_READ_ONLY = (
    *(rule for suffix, path in _PREFIXES.items() for rule in _rules(f"read-{suffix}", _READ, path)),
    *_rules("search", frozenset({"POST"}), f"{_API}/search", f"{_API}/search/jql"),
    *_rules("session-read", _READ, _SESSION, caller_only=True),
)
_SESSION_LOGIN = _rules("session", frozenset({"POST", "DELETE"}), _SESSION, caller_only=True)

_ISSUES = (
    *_READ_ONLY,
    *(
        rule
        for rule_id, (methods, paths) in _ISSUE_WRITES.items()
        for rule in _rules(rule_id, frozenset(methods.split()), *paths)
    ),
    *_SESSION_LOGIN,
)


def _webhook_rules(collection: str) -> tuple[Rule, ...]:
    """Registrations name a URL, so their bodies are checked; switching one on or off names none."""
    writes = frozenset({"POST", "PUT"})
    return (
        *_rules("webhook-read", _READ | {"DELETE"}, f"{collection}/**"),
        *_rules("webhook-switch", frozenset({"PUT"}), f"{collection}/*/enabled"),
        Rule("webhook-register", writes, collection, guarded=True, needs_body_check=True),
        Rule("webhook-register", writes, f"{collection}/*", guarded=True, needs_body_check=True),
    )


PROFILES: dict[str, tuple[Rule, ...]] = {
    "read-only": _READ_ONLY,
    "issues": _ISSUES,
    "webhooks": (*_READ_ONLY, *(rule for collection in _HOOKS for rule in _webhook_rules(collection))),
    "full-rest": (
        *_READ_ONLY,
        *(rule for suffix, path in _PREFIXES.items() for rule in _rules(f"full-{suffix}", METHODS, path)),
        *_SESSION_LOGIN,
    ),
}

# What no built-in profile ever allows. Jersey reads a final ".json" or ".xml" as an Accept header and not as a part
# of the name, so "user/password.json" is the resource "user/password".
NEVER: tuple[Rule, ...] = (
    Rule("never-tokens", METHODS, "/rest/pat/**"),
    Rule("never-plugins", METHODS, "/rest/plugins/**"),
    Rule("never-scripts", METHODS, "/rest/scriptrunner/**"),
    Rule("never-oauth", METHODS, "/rest/oauth2/**"),
    Rule("never-password", METHODS, "**/password"),
    Rule("never-password", METHODS, "/rest/api/*/*/{password.json,password.xml}"),
    Rule("never-websudo", METHODS, "/rest/auth/1/websudo/**"),
)


def profile_rules(names: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules of several profiles, each once, in order.

    Raises:
        KeyError: a name is no profile.
    """
    return tuple(dict.fromkeys(rule for name in names for rule in PROFILES[name]))


# What a read-only token may do at the gateway, compiled.
READ_ONLY = RuleSet(PROFILES["read-only"], NEVER)
