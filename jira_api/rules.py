"""Rules about Jira requests and their evaluation: deny by default, on the decoded target, case-sensitive.

A rule names methods and a path pattern relative to Jira's base URL: `*` stands for one segment, `**` (first or last
only) for any number of them, `{a,b}` for one of several literal segments. One trailing slash on a request means
nothing. A GET rule admits HEAD. Rules are data, compiled once; a decision is a dictionary look-up on the first two
segments and one or two regular expression matches. This module decides and nothing else: it reads no file.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Protocol

from jira_api.decisions import Allow, Credentials, Decision, Deny
from jira_api.query import credential_query_names, query_parameters

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_LITERAL_SEGMENT = re.compile(r"[^/*{}?#;\\\x00-\x20\x7f]+")
_ALTERNATIVES = re.compile(r"\{([^/*{}?#;\\\x00-\x20\x7f]+)\}")
_RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


_UNKNOWN_METHOD = Deny("no rule can allow this method")
_NO_RULE = Deny("no rule allows this method on this path")


class InvalidRule(Exception):
    """A rule that cannot be compiled; `key` is the part at fault, `problem` says what is wrong with it."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


class RequestTarget(Protocol):
    """What a decision needs to know of a canonical target (`http1.target.Target` is one)."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded path segments."""

    @property
    def query(self) -> bytes:
        """The raw query."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission.

    `query` maps a parameter to `"low..high"` (a limit when it is present) or to an exact value (which must be present).
    A `guarded` rule yields to the never-list; a `caller_only` one asks for the caller's own login.
    """

    id: str
    methods: frozenset[str]
    path: str
    query: Mapping[str, str] = field(default_factory=dict, hash=False)
    guarded: bool = False
    caller_only: bool = False
    needs_body_check: bool = False


class _CompiledRule:
    """A rule in the form that is fast to ask."""

    __slots__ = ("allow", "matches", "methods", "rule")

    def __init__(self, rule: Rule, *, ignore_case: bool) -> None:
        unknown = rule.methods - METHODS
        if unknown or not rule.methods:
            raise InvalidRule("methods", f"must be one or more of {', '.join(sorted(METHODS))}")
        for name, constraint in rule.query.items():
            _check_constraint(name, constraint)
        pattern = path_expression(rule.path)
        self.rule = rule
        self.methods = rule.methods | ({"HEAD"} if "GET" in rule.methods else set())
        self.matches = re.compile(pattern, re.IGNORECASE if ignore_case else 0).fullmatch
        self.allow = Allow(rule.id, rule.needs_body_check)


def path_expression(pattern: str) -> str:
    """Translate a path pattern to a regular expression over "/"-joined decoded segments.

    Decoded segments hold no slash (the canonicaliser refuses one), so the joined form is unambiguous. With `**` at the
    ends only, matching is linear.

    Raises:
        InvalidRule: the pattern does not follow the module's grammar.
    """
    segments = _pattern_segments(pattern)
    parts = []
    for position, segment in enumerate(segments):
        if segment == "**":
            if 0 < position < len(segments) - 1:
                raise InvalidRule("path", f"{pattern!r}: ** may only be the first or the last segment")
            parts.append("(?:/[^/]+)*")
        else:
            parts.append("/" + _segment_expression(segment, pattern))
    return "".join(parts)


def _pattern_segments(pattern: str) -> list[str]:
    if pattern.startswith("**/"):
        pattern = "/" + pattern
    if not pattern.startswith("/"):
        raise InvalidRule("path", f"{pattern!r} must begin with a slash")
    return pattern[1:].removesuffix("/").split("/") if pattern != "/" else []


def _segment_expression(segment: str, pattern: str) -> str:
    if segment == "*":
        return "[^/]+"
    alternatives = _ALTERNATIVES.fullmatch(segment)
    literals = alternatives[1].split(",") if alternatives else [segment]
    for literal in literals:
        if _LITERAL_SEGMENT.fullmatch(literal) is None or literal in {".", ".."}:
            raise InvalidRule("path", f"{pattern!r}: {segment!r} is no literal, *, ** or {{a,b}}")
    return "(?:" + "|".join(map(re.escape, literals)) + ")"


def _check_constraint(name: str, constraint: str) -> None:
    bounds = _RANGE.fullmatch(constraint)
    if bounds and int(bounds[1]) > int(bounds[2]):
        raise InvalidRule("query", f"{name} = {constraint!r} is an empty range")
    if not name:
        raise InvalidRule("query", "a parameter name is empty")


def _query_violation(constraints: Mapping[str, str], query: bytes) -> str | None:
    """Return the name of the first constrained parameter that `query` violates."""
    parameters = query_parameters(query)
    for name, constraint in constraints.items():
        values = [value for parameter, value in parameters if parameter == name]
        bounds = _RANGE.fullmatch(constraint)
        if bounds is None:
            if not values or any(value != constraint for value in values):
                return name
        elif not all(_is_within(value, int(bounds[1]), int(bounds[2])) for value in values):
            return name
    return None


def _is_within(value: str, low: int, high: int) -> bool:
    return _INTEGER.fullmatch(value) is not None and low <= int(value) <= high


class RuleSet:
    """Compiled rules, indexed by method and by the first two path segments.

    `never` holds rules that beat every `guarded` one, whatever the method; they are matched without regard to case,
    because a refusal should err on the safe side.
    """

    def __init__(self, rules: Iterable[Rule], never: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        compiled = [_CompiledRule(rule, ignore_case=False) for rule in self.rules]
        self._by_method = {
            method.encode(): _Index([rule for rule in compiled if method in rule.methods]) for method in METHODS
        }
        self._never = [_CompiledRule(rule, ignore_case=True) for rule in never]
        expressions = "|".join(path_expression(compiled.rule.path) for compiled in self._never)
        self._never_any = re.compile(expressions or "(?!)", re.IGNORECASE | re.DOTALL)

    def candidates(self, method: bytes, segments: tuple[str, ...]) -> "tuple[_CompiledRule, ...] | None":
        """Return the rules of `method` that may match a path of these segments, None for an unknown method."""
        index = self._by_method.get(method)
        return None if index is None else index.candidates(segments)

    def never(self, path: str) -> Rule | None:
        """Return the rule of the never-list that a path falls under."""
        if self._never_any.fullmatch(path) is None:  # nearly always: one look at all of them together
            return None
        return next(compiled.rule for compiled in self._never if compiled.matches(path))


def evaluate(rules: RuleSet, method: bytes, target: RequestTarget, *, credentials: Credentials) -> Decision:
    """Decide about one request; `method` is the exact token, `target` has passed the canonicaliser."""
    segments = target.segments
    candidates = rules.candidates(method, segments)
    if candidates is None:
        return _UNKNOWN_METHOD
    if target.query:
        overrides = credential_query_names(target.query)
        if overrides:
            return Deny(f"the query parameter {overrides[0]} is never allowed")
    path = "/" + "/".join(segments) if segments else ""
    refusal: Deny | None = None
    for candidate in candidates:
        if candidate.matches(path) is None:
            continue
        rule = candidate.rule
        never = rules.never(path) if rule.guarded else None
        if never is not None:
            refusal = Deny(f"no built-in profile allows {never.path}", never.id)
            continue
        refusal = _objection(rule, target.query, credentials)
        if refusal is None:
            return candidate.allow
    return refusal or _NO_RULE


def _objection(rule: Rule, query: bytes, credentials: Credentials) -> Deny | None:
    """Return why a rule whose method and path match still does not admit the request."""
    if rule.caller_only and credentials != "caller":
        return Deny("allowed only with the caller's own credentials", rule.id)
    if rule.query:
        violated = _query_violation(rule.query, query)
        if violated is not None:
            return Deny(f"the query parameter {violated} is outside what rule {rule.id} allows", rule.id)
    return None


class _Index:
    """Rules by the literal first two segments of their pattern; the others are candidates everywhere."""

    def __init__(self, rules: Sequence[_CompiledRule]) -> None:
        keys = [_index_keys(compiled.rule.path) for compiled in rules]
        wildcard = [compiled for compiled, own in zip(rules, keys, strict=True) if own is None]
        self._everywhere = tuple(wildcard)
        self._by_prefix: dict[tuple[str, ...], tuple[_CompiledRule, ...]] = {}
        for key in {key for own in keys for key in own or ()}:
            here = (rule for rule, own in zip(rules, keys, strict=True) if own is None or key in own)
            self._by_prefix[key] = tuple(here)

    def candidates(self, segments: tuple[str, ...]) -> tuple[_CompiledRule, ...]:
        return self._by_prefix.get(segments[:2], self._everywhere)


def _index_keys(pattern: str) -> frozenset[tuple[str, ...]] | None:
    """Return the two-segment prefixes under which a pattern can match, None when there is no finite list."""
    choices = []
    for segment in _pattern_segments(pattern)[:2]:
        if segment in {"*", "**"}:
            return None
        alternatives = _ALTERNATIVES.fullmatch(segment)
        choices.append(alternatives[1].split(",") if alternatives else [segment])
    return frozenset(product(*choices))
