"""The administrator's switch of this machine: the one owner of its position, in memory and in the state directory.

Only the control socket turns it, and its mode (0600) says who may; nothing that a gateway sends gets here. The file is
replaced whole and synced. Narrower counts at once and is written then; wider is written first and counts then: whatever
fails, and whenever, the narrower position stays. A file that cannot be read or understood means paused.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from agent.screening import Refused
from agent.switch_state import Mode, SwitchDamaged, SwitchState, decode, encode, sound_reason
from certs.errors import CertsError
from certs.files import read_private, write_private
from runtime.exits import USAGE, CommandFailed

log = structlog.get_logger()

FILE_NAME: Final = "switch.json"
LONGEST_SECONDS: Final = 366 * 86400
WRITE_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.5


class Switch:
    """Read it from anywhere in the loop; `run` it so that it turns back in time."""

    def __init__(self, directory: Path, now_ms: Callable[[], int]) -> None:
        """Read the position that is in force; never raises."""
        self._path = directory / FILE_NAME
        self._now_ms = now_ms
        self._turning = asyncio.Lock()
        self.problem: str | None = None  # why the file does not count, or does not hold what is in force
        self.on_change: Callable[[SwitchState], None] = lambda _: None  # hears of every order, and of the end of time
        self._use(self._read())

    def __repr__(self) -> str:
        return f"<Switch {self.state}>"

    @property
    def is_open(self) -> bool:
        """The policy alone decides."""
        return self.state.mode is Mode.OPEN

    @property
    def is_paused(self) -> bool:
        """Nothing passes."""
        return self.refusal is not None

    async def run(self) -> None:
        """Turn it back when its time is over, until cancelled."""
        if self.problem is not None:
            log.error("switch_unreadable", reason=self.problem)
        elif not self.is_open:
            log.warning("switch_in_force", mode=self.state.mode.value, state=str(self.state))
        while True:
            async with self._turning:
                await self._look_at_the_time()
            await asyncio.sleep(POLL_SECONDS)

    async def turn(self, mode: Mode, arguments: Mapping[str, Any], by: str) -> None:
        """Obey an order: `reason` (text or None) and `seconds` (a number or None) of the arguments count.

        Raises:
            CommandFailed: the arguments make no sense; or the position could not be written, and the line says what is
                in force then.
        """
        reason, seconds = _reason(arguments.get("reason")), _seconds(arguments.get("seconds"))
        async with self._turning:
            now = self._now_ms()
            until = None if seconds is None or mode is Mode.OPEN else now + round(seconds * 1000)
            wanted = self.state.turned(mode, now, until, reason, by)
            if mode.strictness >= self.state.mode.strictness:
                self._change(wanted)
                await self._keep(wanted, f"{mode.value} now, but not after a restart")
            else:
                await self._keep(wanted, f"nothing changed, still {self.state.mode.value}")
                self._change(wanted)

    def news(self) -> dict[bytes, bytes]:
        """Return what gateways are told, for display (docs/protocol.md §4.6)."""
        return {b"switch": self.state.mode.value.encode(), b"switch-reason": self.state.reason.encode()}

    def page(self) -> dict[str, Any]:
        """Return the section of the status page."""
        return {**self.state.page(), "problem": self.problem}

    def _use(self, state: SwitchState) -> None:
        self.state = state
        self.refusal: Refused | None = state.refusal()  # asked for every request, so made once
        self.is_read_only = state.mode is Mode.READ_ONLY

    def _change(self, state: SwitchState) -> None:
        self._use(state)
        log.warning("switch_turned", mode=state.mode.value, state=str(state), by=state.by)
        self.on_change(state)

    def _read(self) -> SwitchState:
        try:
            if not self._path.exists() and not self._path.is_symlink():
                return SwitchState()
            return decode(read_private(self._path)).at(self._now_ms())
        except (CertsError, SwitchDamaged, OSError) as error:
            reason = error.problem if isinstance(error, SwitchDamaged) else str(error)
            self.problem = (
                f"{self._path} cannot be relied on ({reason}), so nothing passes; "
                "run jira-agent resume, pause or read-only to write it anew"
            )
            return SwitchState(Mode.PAUSED, self._now_ms(), reason="the switch file is damaged", by="the agent")

    async def _look_at_the_time(self) -> None:
        state = self.state.at(self._now_ms())
        if state is not self.state:
            self._change(state)
            try:
                await self._keep(state, "")
            except CommandFailed as failed:  # the file says by itself that its time is over
                log.warning("switch_not_written", reason=failed.line)

    async def _keep(self, state: SwitchState, otherwise: str) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await asyncio.to_thread(write_private, self._path, encode(state))
        except (CertsError, TimeoutError) as error:
            reason = str(error) or f"the disk does not answer within {WRITE_SECONDS:g} s"
            self.problem = f"the switch could not be written: {reason}"
            raise CommandFailed(f"{otherwise}: {reason}") from None
        self.problem = None


def _reason(value: object) -> str | None:
    if value is None:
        return None
    try:
        return sound_reason(str(value))
    except ValueError as error:
        raise CommandFailed(str(error), USAGE) from None


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 1 <= value <= LONGEST_SECONDS:
        raise CommandFailed("a switch turns back after a second to 366 days", USAGE)
    return float(value)
