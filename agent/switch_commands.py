"""What the control socket does with `pause`, `resume` and `read-only`, and what that means for what is under way."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from agent.status import Service
from agent.switch import Switch
from agent.switch_state import Mode, SwitchState
from runtime.control import Command, peer_uid
from runtime.identity import name_of

NAMES: Final = {"pause": Mode.PAUSED, "resume": Mode.OPEN, "read-only": Mode.READ_ONLY}
NAME_SECONDS: Final = 1.0


def switch_commands(
    switch: Switch, service: Callable[[], Service | None], note: Callable[..., None]
) -> dict[str, Command]:
    """Return the commands of the control socket.

    `service` returns the parts that a turn of the switch concerns; `note` is the audit log's.
    """

    def changed(state: SwitchState) -> None:
        note("switch", **state.page())
        _apply(state, service())

    switch.on_change = changed
    return {name: partial(_turn, switch, service, note, mode) for name, mode in NAMES.items()}


async def _turn(
    switch: Switch,
    service: Callable[[], Service | None],
    note: Callable[..., None],
    mode: Mode,
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    before = switch.state.mode
    await switch.turn(mode, arguments, await _who())
    parts, ended = service(), 0
    if parts is not None and mode is Mode.PAUSED and arguments.get("now") is True:
        ended = parts.carrier.cut()
        note("cut", requests=ended, by=switch.state.by)
    return {
        **switch.page(),
        "changed": before is not mode,
        "under_way": 0 if parts is None else parts.carrier.under_way,
        "ended": ended,
    }


def _apply(state: SwitchState, service: Service | None) -> None:
    """Make a new position count for what is there already; new requests and events ask the switch themselves."""
    if service is None:
        return
    service.carrier.judge_again()
    if service.webhooks is not None and state.mode is Mode.PAUSED:
        service.webhooks.interrupt()
    service.supervisor.announce({b"switch": state.mode.value.encode(), b"switch-reason": state.reason.encode()})


async def _who() -> str:
    """Return who asks; a directory service that does not answer leaves the number."""
    uid = peer_uid.get()
    if uid is None:
        return "unknown"
    try:
        async with asyncio.timeout(NAME_SECONDS):
            return await asyncio.to_thread(name_of, uid)
    except TimeoutError:
        return f"uid {uid}"
