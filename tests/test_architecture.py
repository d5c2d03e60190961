"""The rules of ARCHITECTURE.md as tables over the source: imports, bans, names, sizes.

Each rule's message says what the rule is for, so that a red test explains itself.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "certs", "gateway", "http1", "jira_api", "runtime", "tunnel")

# package -> the packages of ours that it may import
MAY_IMPORT = {
    "tunnel": set(),
    "http1": set(),
    "jira_api": set(),
    "certs": set(),
    "runtime": {"http1"},
    "agent": {"tunnel", "http1", "jira_api", "certs", "runtime"},
    "gateway": {"tunnel", "http1", "jira_api", "certs", "runtime"},
}

# (imported module, where it may be imported, why)
CONFINED = [
    ("httptools", {"http1"}, "the grammar of HTTP/1.1 has one home"),
    ("uvloop", {"runtime/loop.py"}, "the event loop is chosen once"),
    ("cryptography", {"certs", "gateway/sealing.py"}, "keys and certificates have one home; sealing is an AEAD"),
    (
        "websockets",
        {
            "tunnel/link.py",
            "agent/dialer.py",
            "agent/enroll.py",
            "agent/line_probe.py",
            "agent/sighting.py",
            "gateway/tunnel_listener.py",
            "gateway/enrollment.py",
            "gateway/line_desk.py",
        },
        "sockets of the tunnel are opened in two places and run in one",
    ),
    ("sqlalchemy", {"gateway/store"}, "no SQL type leaves the store"),
    ("alembic", {"gateway/store"}, "migrations are the store's"),
    ("aiohttp", {"gateway/management", "gateway/egress_proof.py"}, "a second HTTP server is 10 MiB of an agent"),
    ("prometheus_client", {"runtime/metric_text.py"}, "it is loaded by the first scrape"),
    ("sqlite3", {"agent/spool_file.py", "gateway"}, "an agent without a spool needs none"),
    ("standardwebhooks", {"gateway/events/signing.py"}, "what is sent is signed in one place"),
]

IMPURE = {"asyncio", "ssl", "socket", "time", "threading", "random", "os", "selectors"}
BANNED_NAMES = ("Manager", "Helper", "Util", "Common", "Handler", "Base")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_ARGUMENTS = 8

# Where a ceiling is passed on purpose, with the reason; the list may only shrink.
LONGER_MODULES: dict[str, str] = {}
LONGER_FUNCTIONS: dict[str, str] = {}


def _modules() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
    assert len(found) > 50, "the sources were not found"
    return found


def _name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _imports(tree: ast.AST) -> tuple[tuple[str, int], ...]:
    """Return every imported module's full name with its line."""
    return tuple(_walk_imports(tree))


def _walk_imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or "", node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_imports_follow_the_map(path: Path) -> None:
    package = path.relative_to(PROJECT).parts[0]
    for module, line in _imports(_tree(path)):
        top = module.partition(".")[0]
        if top in PACKAGES and top != package:
            assert top in MAY_IMPORT[package], f"{_name(path)}:{line}: {package} must not know {top} (ARCHITECTURE.md)"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_third_parties_stay_where_they_belong(path: Path) -> None:
    name = _name(path)
    for module, line in _imports(_tree(path)):
        for confined, places, reason in CONFINED:
            if module == confined or module.startswith(confined + "."):
                allowed = any(name == place or name.startswith(place + "/") for place in places)
                assert allowed, f"{name}:{line}: {confined} is confined to {sorted(places)}: {reason}"


def test_the_agent_runs_no_issuing_code() -> None:
    issuing = {"certs.ca", "certs.ca_directory", "certs.revocation"}
    agents = [path for path in _modules() if _name(path).startswith("agent/")]
    assert agents
    for path in agents:
        imported = {module for module, _ in _imports(_tree(path))}
        assert not imported & issuing, f"{_name(path)}: the customer's machine must not be able to issue certificates"


def test_what_the_agent_may_import_of_certs_issues_nothing() -> None:
    issuing = {"certs.ca", "certs.ca_directory"}
    for module in ("keys", "tls", "identity", "enrollment", "renewal", "csr", "certificates", "files", "errors"):
        imported = {name for name, _ in _imports(_tree(PROJECT / "certs" / f"{module}.py"))}
        assert not imported & issuing, f"certs/{module}.py reaches issuing code"


def test_the_tunnel_is_pure_but_for_its_link() -> None:
    outside = {"link.py", "rounds.py", "sockets.py"}  # the link, its timer and its socket
    pure = [path for path in _modules() if _name(path).startswith("tunnel/") and path.name not in outside]
    assert len(pure) > 5
    for path in pure:
        imported = {module.partition(".")[0] for module, _ in _imports(_tree(path))}
        assert not imported & IMPURE, f"{_name(path)}: the protocol does no I/O and reads no clock"


def test_only_configuration_reads_the_environment() -> None:
    for path in _modules():
        reads = [
            node.lineno
            for node in ast.walk(_tree(path))
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        ]
        if reads and _name(path) != "runtime/configuration.py":
            pytest.fail(f"{_name(path)}:{reads[0]}: settings come from runtime/configuration.py alone")


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_modules_and_functions_keep_to_their_size(path: Path) -> None:
    name, text = _name(path), path.read_text(encoding="utf-8")
    if name not in LONGER_MODULES:
        assert len(text.splitlines()) <= MAX_MODULE_LINES, f"{name} is over {MAX_MODULE_LINES} lines: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{name}:{node.name}"
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES or where in LONGER_FUNCTIONS, f"{where} has {lines} lines"
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            named = [argument for argument in arguments if argument.arg not in {"self", "cls"}]
            decorated = any("command" in ast.dump(decorator) for decorator in node.decorator_list)
            assert len(named) <= MAX_ARGUMENTS or decorated, f"{where} has {len(named)} arguments"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_modules_say_what_they_own(path: Path) -> None:
    docstring = ast.get_docstring(_tree(path))
    assert docstring, f"{_name(path)} has no docstring: what does it own, what must it not know?"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_names_mean_something(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ClassDef):
            for banned in BANNED_NAMES:
                assert not node.name.endswith(banned), f"{_name(path)}:{node.lineno}: {node.name} says nothing"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_nothing_swallows_a_cancellation(path: Path) -> None:
    """`except BaseException` and `except CancelledError` must raise again."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught = ast.unparse(node.type)
            if "CancelledError" in caught or "BaseException" in caught:
                raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                assert raises, f"{_name(path)}:{node.lineno}: {caught} is caught and not raised again"


def test_no_path_of_a_machine_and_no_index_address_is_committed() -> None:
    for lock in (PROJECT / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text, f"{lock.name} names an address"
        assert "--index" not in text


def test_sessions_are_given_a_clock_finer_than_their_round_trips() -> None:
    """uvloop's own time counts whole milliseconds: with it a short round trip reads 0 and windows never grow."""
    clocks = [
        (_name(path), ast.unparse(keyword.value))
        for path in _modules()
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Session"
        for keyword in node.keywords
        if keyword.arg == "clock"
    ]
    assert {name for name, _ in clocks} == {"agent/app.py", "gateway/tunnel_listener.py"}
    for name, clock in clocks:
        assert clock == "monotonic", f"{name}: Session gets {clock}"
