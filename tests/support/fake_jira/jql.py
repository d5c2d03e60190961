"""The useful subset of JQL: comparisons, IN, text search, dates, AND OR NOT, parentheses, ORDER BY.

As in Jira a date text has minutes at most and is read in the time zone of whoever asks; `-15m` counts back from
Jira's own clock; moments are compared as the index keeps them, in whole seconds. Raises `JqlError` with Jira's own message for anything wrong; visibility is decided by the caller's filter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from tests.support.fake_jira.people import User
from tests.support.fake_jira.store import ISSUE_TYPES, PRIORITIES, STATUSES, Issue

_TOKEN = re.compile(
    r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(!=|!~|>=|<=|[=~<>(),])|([^\s=!~<>(),"']+))""", re.DOTALL
)
_RELATIVE = re.compile(r"([+-]?)((?:\d+[mhdw]\s*)+)\Z")
_ABSOLUTE = re.compile(r"(\d{4})([/-])(\d{1,2})\2(\d{1,2})(?: (\d{1,2}):(\d{2}))?\Z")
_EXACT = "\0"  # before the value of a function
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Test = Callable[[Issue], bool]


class JqlError(Exception):
    """`message` is what Jira puts into errorMessages."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted text or an operator."""

    text: str
    quoted: bool = False

    def is_word(self, *words: str) -> bool:
        """A keyword in any case."""
        return not self.quoted and self.text.lower() in words


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search: which issues, in which order."""

    test: Test
    order: list[tuple[str, bool]]  # field, descending

    def run(self, issues: list[Issue]) -> list[Issue]:
        """Those that match, ordered."""
        found = [issue for issue in issues if self.test(issue)]
        for name, descending in reversed(self.order or [("key", True)]):
            found.sort(key=lambda issue: _sort_key(issue, name), reverse=descending)
        return found


@dataclass(frozen=True, slots=True)
class Context:
    """What a query may refer to: who asks, when, and which project keys they see."""

    user: User | None
    now: datetime
    projects: frozenset[str]
    all_users: frozenset[str]
    zone: tzinfo = UTC


def parse_jql(text: str, context: Context) -> Query:
    """Raises JqlError."""
    return _Parser(_tokens(text), context).query()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise JqlError(
                f"Error in the JQL Query: The quoted string '{text[position:].strip()[1:]}' has not been completed."
            )
        double, single, operator, word = match.groups()
        quoted = double if double is not None else single
        tokens.append(Token(re.sub(r"\\(.)", r"\1", quoted), True) if quoted is not None else Token(operator or word))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[Token], context: Context) -> None:
        self._tokens = tokens
        self._context = context
        self._position = 0

    def query(self) -> Query:
        empty = not self._tokens or self._peek_word("order")
        test: Test = (lambda _: True) if empty else self._either()
        order = self._order()
        if self._position < len(self._tokens):
            word = self._tokens[self._position].text
            raise JqlError(f"Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{word}'.")
        return Query(test, order)

    def _peek_word(self, *words: str) -> bool:
        return self._position < len(self._tokens) and self._tokens[self._position].is_word(*words)

    def _next(self) -> Token:
        if self._position >= len(self._tokens):
            raise JqlError("Error in the JQL Query: Expecting a value, list or function before the end of the query.")
        self._position += 1
        return self._tokens[self._position - 1]

    def _expect(self, text: str) -> None:
        token = self._next()
        if not token.is_word(text):
            raise JqlError(f"Error in the JQL Query: Expecting '{text}' but got '{token.text}'.")

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek_word("or", "||", "|"):
            self._next()
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda issue: any(test(issue) for test in tests)

    def _both(self) -> Test:
        tests = [self._single()]
        while self._peek_word("and", "&&", "&"):
            self._next()
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else lambda issue: all(test(issue) for test in tests)

    def _single(self) -> Test:
        if self._peek_word("not", "!"):
            self._next()
            inner = self._single()
            return lambda issue: not inner(issue)
        if self._peek_word("("):
            self._next()
            inner = self._either()
            self._expect(")")
            return inner
        return self._clause()

    def _clause(self) -> Test:
        name = self._next().text.lower()
        if name not in FIELDS:
            raise JqlError(f"Field '{name}' does not exist or you do not have permission to view it.")
        operator = self._next().text.lower()
        if operator == "not":
            self._expect("in")
            operator = "not in"
        if operator == "is":
            negated = self._peek_word("not")
            if negated:
                self._next()
            self._next()
            return lambda issue: bool(_values(issue, name)) == negated
        if operator not in {"=", "!=", "~", "!~", "in", "not in", ">", ">=", "<", "<="}:
            raise JqlError(f"Error in the JQL Query: Expecting operator but got '{operator}'.")
        wanted = self._list() if operator.endswith("in") else [self._value()]
        for value in wanted:
            self._check(name, value)
        return _comparison(name, operator, wanted, self._context)

    def _list(self) -> list[str]:
        self._expect("(")
        values = [self._value()]
        while self._peek_word(","):
            self._next()
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> str:
        token = self._next()
        if token.quoted or not self._peek_word("("):
            return token.text
        self._next()
        while not self._peek_word(")"):
            self._next()
        self._next()
        return self._function(token.text.lower())

    def _function(self, name: str) -> str:
        if name == "currentuser":
            return self._context.user.name if self._context.user else ""
        now = self._context.now
        if name == "now":
            return _EXACT + now.isoformat()
        if name == "startofday":
            local = now.astimezone(self._context.zone)
            return _EXACT + local.replace(hour=0, minute=0, second=0, microsecond=0).isoformat()
        raise JqlError(f"Unable to find JQL function '{name}()'.")

    def _check(self, name: str, value: str) -> None:
        known = {
            "project": self._context.projects,
            "status": {label.lower() for label, _, _ in STATUSES.values()} | STATUSES.keys(),
            "priority": {label.lower() for label in PRIORITIES.values()} | PRIORITIES.keys(),
            "issuetype": {label.lower() for label in ISSUE_TYPES.values()} | ISSUE_TYPES.keys(),
            "type": {label.lower() for label in ISSUE_TYPES.values()} | ISSUE_TYPES.keys(),
            "assignee": self._context.all_users,
            "reporter": self._context.all_users,
        }.get(name)
        if known is not None and value.lower() not in {item.lower() for item in known} | {"empty", ""}:
            raise JqlError(f"The value '{value}' does not exist for the field '{name}'.")
        if name in {"updated", "created"} and _moment(value, self._context) is None:
            raise JqlError(
                f"Date value '{value}' for field '{name}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', "
                "'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
            )

    def _order(self) -> list[tuple[str, bool]]:
        if not self._peek_word("order"):
            return []
        self._next()
        self._expect("by")
        order: list[tuple[str, bool]] = []
        while True:
            name = self._next().text.lower()
            if name not in FIELDS:
                raise JqlError(f"Field '{name}' does not exist or you do not have permission to view it.")
            descending = self._peek_word("desc")
            if self._peek_word("asc", "desc"):
                self._next()
            order.append((name, descending))
            if not self._peek_word(","):
                return order
            self._next()


def _names(user: User | None) -> list[str]:
    return [user.name, f"JIRAUSER{user.number}", user.account_id] if user else []


FIELDS: dict[str, Callable[[Issue], list[Any]]] = {
    "project": lambda issue: [issue.project.key, issue.project.name, str(issue.project.id)],
    "key": lambda issue: [issue.key, str(issue.id)],
    "issuekey": lambda issue: [issue.key, str(issue.id)],
    "issue": lambda issue: [issue.key, str(issue.id)],
    "id": lambda issue: [issue.key, str(issue.id)],
    "status": lambda issue: [STATUSES[issue.status_id][0], issue.status_id],
    "statuscategory": lambda issue: [STATUSES[issue.status_id][0], STATUSES[issue.status_id][1]],
    "priority": lambda issue: [PRIORITIES[issue.priority_id], issue.priority_id],
    "issuetype": lambda issue: [ISSUE_TYPES[issue.type_id], issue.type_id],
    "type": lambda issue: [ISSUE_TYPES[issue.type_id], issue.type_id],
    "assignee": lambda issue: _names(issue.assignee),
    "reporter": lambda issue: _names(issue.reporter),
    "labels": lambda issue: list(issue.labels),
    "resolution": lambda issue: [issue.resolution] if issue.resolution else [],
    "parent": lambda issue: [issue.parent.key] if issue.parent else [],
    "summary": lambda issue: [issue.summary],
    "description": lambda issue: [str(issue.description)] if issue.description else [],
    "comment": lambda issue: [str(comment.body) for comment in issue.comments],
    "text": lambda issue: [issue.summary, str(issue.description or ""), *(str(c.body) for c in issue.comments)],
    "created": lambda issue: [issue.created],
    "updated": lambda issue: [issue.updated],
}


def _values(issue: Issue, name: str) -> list[Any]:
    return FIELDS[name](issue)


def _comparison(name: str, operator: str, wanted: list[str], context: Context) -> Test:
    if name in {"created", "updated"} or (operator in {">", ">=", "<", "<="}):
        return _ordered(name, operator, wanted[0], context)
    if operator in {"~", "!~"}:
        words = [word.lower().strip('*"+') for word in wanted[0].split()]
        return lambda issue: (
            all(any(word in str(value).lower() for value in _values(issue, name)) for word in words)
            == (operator == "~")
        )
    lowered = {value.lower() for value in wanted}
    positive = operator in {"=", "in"}
    empty = "empty" in lowered

    def test(issue: Issue) -> bool:
        values = {str(value).lower() for value in _values(issue, name)}
        return (bool(values & lowered) or (empty and not values)) == positive

    return test


def _ordered(name: str, operator: str, wanted: str, context: Context) -> Test:
    moment = _moment(wanted, context)
    if name in {"created", "updated"} and moment is not None:
        whole = moment.replace(microsecond=0)
        return lambda issue: _compare(_values(issue, name)[0].replace(microsecond=0), operator, whole)
    number = wanted.rpartition("-")[2]
    if not number.isdigit():
        raise JqlError(f"The operator '{operator}' is not supported by the '{name}' field.")
    return lambda issue: _compare(issue.number, operator, int(number))


def _compare(left: Any, operator: str, right: Any) -> bool:
    return bool(
        {"=": left == right, "!=": left != right, ">": left > right, ">=": left >= right}.get(
            operator, left < right if operator == "<" else left <= right
        )
    )


def _moment(text: str, context: Context) -> datetime | None:
    if text.startswith(_EXACT):
        return datetime.fromisoformat(text.removeprefix(_EXACT))
    relative = _RELATIVE.match(text)
    if relative is not None:
        parts = re.findall(r"(\d+)([mhdw])", relative[2])
        length = sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
        return context.now - length if relative[1] == "-" else context.now + length
    absolute = _ABSOLUTE.match(text)
    if absolute is None:
        return None
    numbers = (int(absolute[group] or 0) for group in (1, 3, 4, 5, 6))
    try:
        return datetime(*numbers, tzinfo=context.zone)
    except ValueError:
        return None


def _sort_key(issue: Issue, name: str) -> Any:
    if name in {"key", "issuekey", "issue", "id"}:
        return (issue.project.key, issue.number)
    if name == "priority":
        return -int(issue.priority_id)
    if name in {"created", "updated"}:
        return _values(issue, name)[0]
    return str((_values(issue, name) or [""])[0]).lower()
