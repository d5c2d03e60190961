"""The agent's policy: what may pass to Jira, decided on this machine and never widened from the cloud.

A policy is the built-in profiles by name, or a TOML file of rules (which may name profiles too and may
allow more than they do). It is read once and immutable; a reload makes a new one, and a bad file raises
instead of replacing anything. Ambiguous targets never get here: http1.target refuses them first.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeGuard

from jira_api.decisions import Credentials, Decision
from jira_api.profiles import NEVER, PROFILES
from jira_api.profiles import profile_rules as rules_of_profiles
from jira_api.rules import InvalidRule, RequestTarget, Rule, RuleSet, evaluate

MAX_POLICY_BYTES = 1024 * 1024

_RULE_KEYS = {"id", "methods", "path", "query"}
_TOP_KEYS = {"profiles", "allow"}


class PolicyError(Exception):
    """A policy that cannot be used: `source` (file or setting), `problem`, and `fix`, what to do about it."""

    def __init__(self, source: str, problem: str, fix: str) -> None:
        super().__init__(f"{source}: {problem}; {fix}")
        self.source = source
        self.problem = problem
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Policy:
    """An immutable set of rules and where it came from. One without rules allows nothing."""

    source: str
    rules: RuleSet

    @classmethod
    def from_profiles(cls, names: Sequence[str]) -> "Policy":
        """Build the policy of built-in profiles.

        Raises:
            PolicyError: a name is no profile.
        """
        _check_profiles(names, "policy profile")
        return cls(", ".join(names) or "no profile", RuleSet(rules_of_profiles(tuple(names)), NEVER))

    @classmethod
    def from_file(cls, path: Path) -> "Policy":
        """Read a TOML policy.

        Raises:
            PolicyError: the file cannot be read, is no TOML, or holds a key, value or rule that means nothing.
        """
        return cls(str(path), RuleSet(_read_rules(path), NEVER))

    def decide(self, method: bytes, target: RequestTarget, credentials: Credentials) -> Decision:
        """Decide about one request whose target the canonicaliser has read."""
        return evaluate(self.rules, method, target, credentials=credentials)

    def describe(self) -> list[dict[str, Any]]:
        """Return every rule as plain data, in the order of evaluation, for `policy show`."""
        return [
            {
                "id": rule.id,
                "methods": sorted(rule.methods),
                "path": rule.path,
                "query": dict(rule.query),
                "built_in": rule.guarded,
                "caller_credentials_only": rule.caller_only,
                "webhook_target_checked": rule.needs_body_check,
            }
            for rule in self.rules.rules
        ]

    def digest(self) -> str:
        """Return the SHA-256 of everything that the rules say, in hex: two policies with the same allow the same."""
        return sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<Policy {self.source}: {len(self.rules.rules)} rules>"


def _read_rules(path: Path) -> tuple[Rule, ...]:
    document = _read_document(path)
    source = str(path)
    _check_keys(document, _TOP_KEYS, source, "the file")
    profiles = document.get("profiles", [])
    if not _is_list_of_text(profiles):
        raise PolicyError(source, "profiles is no list of names", 'write profiles = ["read-only"]')
    _check_profiles(profiles, source)
    tables = document.get("allow", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PolicyError(source, "allow is no array of tables", "begin each rule with a line [[allow]]")
    own = tuple(_read_rule(table, number, source) for number, table in enumerate(tables, 1))
    _check_ids(own, source)
    return (*own, *rules_of_profiles(tuple(profiles)))


def _read_document(path: Path) -> dict[str, Any]:
    source = str(path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_POLICY_BYTES + 1)
        if len(text) > MAX_POLICY_BYTES:
            raise PolicyError(source, f"is larger than {MAX_POLICY_BYTES} bytes", "use fewer, wider rules")
        return tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise PolicyError(source, problem, "check the path and that the agent's user may read it") from None
    except UnicodeDecodeError:
        raise PolicyError(source, "is not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(source, f"is no TOML: {error}", "correct that line") from None


def _read_rule(table: dict[str, Any], number: int, source: str) -> Rule:
    where = f"rule {table['id']!r}" if isinstance(table.get("id"), str) else f"rule number {number}"
    _check_keys(table, _RULE_KEYS, source, where)
    rule_id, methods, path = table.get("id"), table.get("methods"), table.get("path")
    if not isinstance(rule_id, str) or not rule_id.strip():
        raise PolicyError(source, f"{where} has no id", 'give it one, such as id = "read-issues"')
    if not _is_list_of_text(methods):
        raise PolicyError(source, f"{where} has no list of methods", 'write methods = ["GET"]')
    if not isinstance(path, str):
        raise PolicyError(source, f"{where} has no path", 'write path = "/rest/api/2/issue/*"')
    query = table.get("query", {})
    if not isinstance(query, dict) or not all(isinstance(value, str) for value in query.values()):
        raise PolicyError(source, f"{where} has a malformed query", 'write query = {maxResults = "0..100"}')
    rule = Rule(rule_id, frozenset(methods), path, query)
    try:
        RuleSet([rule])
    except InvalidRule as error:
        raise PolicyError(source, f"{where}, {error}", f"correct its {error.key}") from None
    return rule


def _check_keys(table: dict[str, Any], known: set[str], source: str, where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        fix = f"use only {', '.join(sorted(known))}"
        raise PolicyError(source, f"{where} has the unknown key {unknown[0]!r}", fix)


def _check_profiles(names: Sequence[str], source: str) -> None:
    for name in names:
        if name not in PROFILES:
            raise PolicyError(source, f"there is no profile {name!r}", f"use {', '.join(PROFILES)}")


def _check_ids(rules: Sequence[Rule], source: str) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise PolicyError(source, f"two rules have the id {rule.id!r}", "give each its own")
        seen.add(rule.id)


def _is_list_of_text(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
