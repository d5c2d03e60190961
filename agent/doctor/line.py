"""The line to one gateway, measured beside the tunnel: websocket, round trip, throughput, congestion control."""

from pathlib import Path
from statistics import median

from agent.doctor.check import Check, Circumstances, failed, passed, skip_all, skipped
from agent.doctor.gateway import Way
from agent.errors import Cause, DialError
from agent.identity import Identity
from agent.line_probe import LineLost, LineProbe, visit_line
from certs.errors import CertsError
from tunnel.probing import Tally

CHECKS = ("websocket", "round-trip", "download", "upload", "congestion")
SLOW_BITS = 2_000_000
AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


async def check_line(circumstances: Circumstances, way: Way, identity: Identity) -> list[Check]:
    """Make one visit, and every check that it allows."""
    found: list[Check] = []
    try:
        async with visit_line(way.gateway, identity, way.route, way.user_agent) as line:
            found.append(passed("websocket", f"{line.welcome.software or 'the gateway'} took our certificate"))
            await _measure(circumstances, line, found)
    except DialError as error:
        return _refused(error)
    except CertsError as error:
        found.append(failed("websocket", error.problem, error.fix))
    except LineLost as error:
        at = CHECKS[len(found)]
        action = "something on the way cuts websockets or large transfers: see its idle timeouts and limits"
        found.append(failed(at, error.reason, action))
    return found + skip_all(CHECKS[len(found) :], "the visit has ended")


def _refused(error: DialError) -> list[Check]:
    if error.status == 404:
        return skip_all(CHECKS, "this gateway is of a release that cannot be measured")
    if error.cause is Cause.GATEWAY_BUSY and error.status:
        wait = f"the gateway measures others now; try again in {error.retry_after:.0f} s"
        return skip_all(CHECKS, wait)
    action = error.cause.action
    if error.cause is Cause.NOT_A_GATEWAY:
        action = f"{action}; or something on the way does not let websockets pass"
    return [failed("websocket", error.reason, action), *skip_all(CHECKS[1:], "no websocket")]


async def _measure(circumstances: Circumstances, line: LineProbe, found: list[Check]) -> None:
    found.append(judge_round_trip(await line.round_trips()))
    if circumstances.quick:
        found += skip_all(CHECKS[2:4], "not measured by the quick checks")
    else:
        circumstances.tell("measuring the way here, up to 5 s")
        found.append(judge_rate("download", await line.download()))
        circumstances.tell("measuring the way there, up to 5 s")
        found.append(judge_rate("upload", await line.upload()))
    found.append(judge_congestion(line.congestion, line.welcome.congestion, _available()))


def judge_round_trip(seconds: list[float]) -> Check:
    """Say what the echoes' times mean."""
    detail = f"{median(seconds) * 1000:.1f} ms (between {min(seconds) * 1000:.1f} and {max(seconds) * 1000:.1f})"
    advice = "a queue on the line delays everything: see what else uses it" if max(seconds) > 1.0 else ""
    return passed("round-trip", detail, advice)


def judge_rate(check: str, tally: Tally) -> Check:
    """Say what a transfer's rate means."""
    rate = tally.bits_per_second
    if not rate:
        return failed(check, "nothing arrived within 5 s", "something on the way holds large transfers back")
    detail = f"{rate / 1e6:.1f} Mbit/s ({tally.size >> 20} MiB in {tally.seconds:.1f} s, on one connection)"
    advice = "slow for attachments; requests share what is there" if rate < SLOW_BITS else ""
    return passed(check, detail, advice)


def judge_congestion(here: str | None, there: str, available: str | None) -> Check:
    """Say which congestion control is in force at both ends, and how bbr comes there; never a reason to fail."""
    if here is None:
        return skipped("congestion", "this system does not tell")
    detail = f"{here} here, {there or 'unknown'} at the gateway"
    if here == "bbr":
        return passed("congestion", detail)
    what = "modprobe tcp_bbr; " if available is not None and "bbr" not in available.split() else ""
    advice = (
        f"on a line that loses packets bbr is many times faster: {what}"
        "sysctl -w net.ipv4.tcp_allowed_congestion_control='reno cubic bbr'"
    )
    return passed("congestion", detail, advice)


def _available() -> str | None:
    try:
        return AVAILABLE.read_text(encoding="ascii")
    except OSError:
        return None
