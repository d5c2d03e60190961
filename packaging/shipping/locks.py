"""Which lines of a lock count for a given Python: pip judges markers by the Python that it runs on, not the one meant.

Pure. Knows the format that `make lock` writes: one requirement with its hashes, continued by backslashes.
"""

from dataclasses import dataclass

from packaging.requirements import Requirement

# Debian's name of a machine -> everybody else's
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Wheels for this glibc and older ones run: Debian 12 has 2.36, and 2.28 is the oldest that a bundle is for.
_GLIBC_MINOR = 28


@dataclass(frozen=True)
class Target:
    """A Python that wheels are chosen for: `python` is like ``3.13``, `machine` like ``x86_64``."""

    python: str
    machine: str

    @property
    def platforms(self) -> list[str]:
        """The platform tags whose wheels run there, newest first."""
        return [f"manylinux_2_{minor}_{self.machine}" for minor in range(_GLIBC_MINOR, 16, -1)] + [
            f"manylinux2014_{self.machine}",
            *([f"manylinux2010_{self.machine}", f"manylinux1_{self.machine}"] if self.machine == "x86_64" else []),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What markers are judged by."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }


def requirements_for(lock: str, target: Target) -> str:
    """Return what counts for the target, without markers; raises ValueError for a line without hashes."""
    kept = []
    for line in lock.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text, *hashes = line.split(" --hash=")
        if not hashes:
            raise ValueError(f"{text.strip()} has no hash in the lock")
        requirement = Requirement(text.strip())
        if requirement.marker is None or requirement.marker.evaluate(target.environment):
            pinned = f"{requirement.name}{requirement.specifier}"
            kept.append(" \\\n    ".join([pinned, *(f"--hash={value.strip()}" for value in hashes)]))
    return "\n".join(kept) + "\n"
