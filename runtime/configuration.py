"""Configuration: environment variables in, one frozen settings object or one clear line out.

The only module that reads ``os.environ``, also for what a service manager says there. It knows the rules of
docs/contract.md §1 (prefix, ``X_FILE``, systemd credentials, ``--env-file``, unknown variables are errors) and nothing
about what the variables mean: that is said once, in each program's subclass of `ProgramSettings`.
"""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from runtime.credentials import find_credential
from runtime.exits import CONFIGURATION, CommandFailed

MAX_SECRET_BYTES = 64 * 1024
_SERVICE_VARIABLES = (
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "STATE_DIRECTORY",
)


class ConfigurationError(CommandFailed):
    """A setting is wrong: names the variable, the problem and the fix, never a value that may be secret."""

    status = CONFIGURATION

    def __init__(self, variable: str, problem: str, fix: str) -> None:
        super().__init__(f"{variable}: {problem}; {fix}")
        self.variable = variable
        self.problem = problem
        self.fix = fix


def cannot_bind(variable: str, listen: object, error: OSError) -> ConfigurationError:
    """Return the error for a listening address that the system refuses."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return ConfigurationError(variable, f"{listen} cannot be bound ({reason})", "choose a free address of this machine")


class ProgramSettings(BaseModel):
    """The settings of one program: subclass it, set `prefix` and `default_env_file`, declare the fields.

    Field ``x`` is read from ``<prefix>X``. A field of type ``SecretStr | None`` may also come from the file
    named by ``<prefix>X_FILE`` or from the systemd credential ``<prefix>x`` in lower case. Values are passed
    in by `load`; nothing is read from the working directory.
    """

    prefix: ClassVar[str]
    default_env_file: ClassVar[Path]

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        str_strip_whitespace=True,
    )

    _secret_files: dict[str, Path] = PrivateAttr(default_factory=dict)

    @property
    def secret_files(self) -> Mapping[str, Path]:
        """The files that secrets came from, by field: whoever wants to know of changes watches them."""
        return self._secret_files


S = TypeVar("S", bound=ProgramSettings)


def load(cls: type[S], *, env_file: Path | None = None, environ: Mapping[str, str] | None = None) -> S:
    """Return the validated settings of `cls`.

    Precedence: process environment, then ``env_file`` (``cls.default_env_file`` when readable and none is
    given). Raises `ConfigurationError`.
    """
    process = dict(os.environ if environ is None else environ)
    merged = {**_read_env_file(cls, env_file), **process}
    ours = {name: value for name, value in merged.items() if name.startswith(cls.prefix)}
    secrets = {name for name, field in cls.model_fields.items() if _is_secret(field.annotation)}
    _refuse_unknown(cls, ours, secrets)
    values: dict[str, Any] = {}
    files: dict[str, Path] = {}
    directory, default = process.get("CREDENTIALS_DIRECTORY"), cls.default_env_file
    for name in cls.model_fields:
        variable = cls.prefix + name.upper()
        value = ours.get(variable)
        if name in secrets:
            file = _secret_file(variable, ours, lambda name: find_credential(name, directory, default, env_file))
            if file is not None:
                files[name] = file[1]
                value = _read_secret(*file)
        if value is not None and value.strip() != "":
            values[name] = value
    try:
        settings = cls(**values)
    except ValidationError as error:
        raise _first_problem(cls, error.errors(include_url=False, include_context=True)) from None
    settings._secret_files.update(files)
    return settings


def service_variables() -> dict[str, str]:
    """Return what the service manager told this process (runtime.systemd knows what it means); empty without one."""
    return {name: os.environ[name] for name in _SERVICE_VARIABLES if name in os.environ}


def follow_env_file(cls: type[ProgramSettings], env_file: Path | None) -> None:
    """Make the env file count again at the next `load`, although systemd has put it into the environment.

    ``EnvironmentFile=`` is read once, at the start, and the process environment wins over the file: without this a
    reload would go on with the old values and say nothing. Raises `ConfigurationError`.
    """
    for name, value in _read_env_file(cls, env_file).items():
        if name.startswith(cls.prefix) and os.environ.get(name) == value:
            del os.environ[name]


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _read_env_file(cls: type[ProgramSettings], env_file: Path | None) -> dict[str, str]:
    path = env_file or cls.default_env_file
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        if env_file is None:
            return {}
        reason = error.strerror or type(error).__name__
        raise ConfigurationError("--env-file", f"{path} cannot be read ({reason})", "name a readable file") from None
    except UnicodeDecodeError:
        raise ConfigurationError("--env-file", f"{path} is not UTF-8 text", "save it as UTF-8") from None
    return dict(_assignments(path, text))


def _assignments(path: Path, text: str) -> Iterable[tuple[str, str]]:
    """Yield the assignments of a file in the format of systemd's ``EnvironmentFile=`` (systemd.exec(5))."""
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: a secret may hold U+2028
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigurationError(f"{path}:{number}", "is not NAME=value", "write one assignment per line")
        yield name.strip(), _unquote(value.strip())


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def _refuse_unknown(cls: type[ProgramSettings], ours: Mapping[str, str], secrets: set[str]) -> None:
    known = {cls.prefix + name.upper() for name in cls.model_fields}
    known |= {cls.prefix + name.upper() + "_FILE" for name in secrets}
    for variable in sorted(set(ours) - known):
        close = difflib.get_close_matches(variable, known, n=1, cutoff=0.6)
        fix = f"did you mean {close[0]}?" if close else "remove it, or correct its name"
        raise ConfigurationError(variable, "is not a variable of this program", fix)


def _secret_file(
    variable: str, ours: Mapping[str, str], credential: Callable[[str], Path | None]
) -> tuple[str, Path] | None:
    """Return the file that holds a secret, and the variable to blame for it: its ``_FILE``, or the credential.

    None when the secret is in the variable itself, or nowhere; more than one place is an error.
    """
    file_variable = variable + "_FILE"
    if ours.get(variable) and ours.get(file_variable):
        raise ConfigurationError(variable, f"is set together with {file_variable}", "keep one of the two")
    if ours.get(variable):
        return None
    if ours.get(file_variable):
        return file_variable, Path(ours[file_variable])
    path = credential(variable.lower())
    return None if path is None else (variable, path)


def _read_secret(variable: str, path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(variable, f"{path} cannot be read ({reason})", "name a readable file") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigurationError(variable, f"{path} is over 64 KiB", "name the file that holds only the secret")
    try:
        return content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigurationError(variable, f"{path} is not UTF-8 text", "save the secret as UTF-8") from None


def _first_problem(cls: type[ProgramSettings], errors: list[ErrorDetails]) -> ConfigurationError:
    """Name the first problem; pydantic's own text never holds the value because inputs are hidden."""
    error = errors[0]
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, ConfigurationError):
        return raised
    where = str(error["loc"][0]).upper() if error["loc"] else ""
    if error["type"] == "missing":
        return ConfigurationError(cls.prefix + where, "is not set", "set it in the environment or the --env-file")
    problem, _, fix = str(raised or error["msg"]).partition("; ")
    return ConfigurationError(cls.prefix + where, problem, fix or _meaning(cls, where.lower()))


def _meaning(cls: type[ProgramSettings], name: str) -> str:
    """Say what the field holds, for a problem that pydantic found and whose fix it does not know."""
    field = cls.model_fields.get(name)
    meaning = field.description if field is not None else None
    return f"it is for: {meaning}" if meaning else "correct it"
