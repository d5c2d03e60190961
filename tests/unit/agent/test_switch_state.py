"""What the positions of the administrator's switch mean, and what a file must hold to be believed."""

import json

import pytest

from agent.screening import Cleared, Refused
from agent.switch_state import MAX_REASON, Mode, SwitchDamaged, SwitchState, decode, encode, narrowed, sound_reason
from http1.messages import NO_BODY, RequestHead
from http1.target import parse_target
from tunnel.errors import ErrorCode

NOW = 1_700_000_000_000
HOUR = 3_600_000


def cleared(method, target, login="agent"):
    return Cleared(RequestHead(method, target, [], NO_BODY), parse_target(target), login, needs_body_check=False)


def test_a_pause_refuses_everything_with_the_reason_that_the_caller_reads():
    refusal = SwitchState(Mode.PAUSED, NOW, reason="Jira upgrade").refusal()
    assert refusal.code is ErrorCode.PAUSED
    assert refusal.detail == "The on-premise administrator has paused this agent: Jira upgrade."
    assert SwitchState(Mode.PAUSED).refusal().detail == "The on-premise administrator has paused this agent."
    assert SwitchState(Mode.READ_ONLY).refusal() is None
    assert SwitchState().refusal() is None


@pytest.mark.parametrize(
    ("method", "target", "passes"),
    [
        (b"GET", b"/rest/api/2/issue/A-1", True),
        (b"HEAD", b"/secure/attachment/1/x.png", True),
        (b"POST", b"/rest/api/2/search", True),
        (b"POST", b"/rest/api/2/issue", False),
        (b"DELETE", b"/rest/api/2/issue/A-1", False),
        (b"GET", b"/rest/own/1.0/thing", False),  # a policy file may allow it, the profile does not
        (b"GET", b"/rest/auth/1/session", False),
    ],
)
def test_read_only_is_the_profile_of_that_name(method, target, passes):
    verdict = narrowed(method, cleared(method, target))
    if passes:
        assert isinstance(verdict, Cleared)
    else:
        assert verdict.code is ErrorCode.POLICY_DENIED
        assert "jira-agent read-only" in verdict.detail
        assert verdict.rule == "read-only-switch"


def test_read_only_never_allows_what_the_policy_refused():
    refused = Refused(ErrorCode.POLICY_DENIED, "no rule")
    assert narrowed(b"GET", refused) is refused


def test_a_time_that_is_over_opens_it():
    state = SwitchState(Mode.PAUSED, NOW, NOW + HOUR, reason="x", by="root")
    assert state.at(NOW + HOUR - 1) is state
    after = state.at(NOW + HOUR)
    assert (after.mode, after.since, after.until, after.reason) == (Mode.OPEN, NOW + HOUR, None, "")


def test_read_only_that_was_paused_for_a_while_is_read_only_again_afterwards():
    state = SwitchState(Mode.READ_ONLY, NOW, by="a").turned(Mode.PAUSED, NOW, NOW + HOUR, "upgrade", "b")
    again = state.turned(Mode.PAUSED, NOW + 5, NOW + 2 * HOUR, None, "c")
    assert again.at(NOW + 2 * HOUR).mode is Mode.READ_ONLY
    assert (again.since, again.reason, again.by) == (NOW, "upgrade", "c")


def test_a_pause_without_end_ends_a_pause_that_had_one():
    state = SwitchState().turned(Mode.PAUSED, NOW, NOW + HOUR, None, "a").turned(Mode.PAUSED, NOW, None, None, "a")
    assert state.at(NOW + 2 * HOUR).mode is Mode.PAUSED


def test_resume_forgets_reason_and_end():
    state = SwitchState(Mode.PAUSED, NOW, NOW + HOUR, Mode.READ_ONLY, "why", "a").turned(
        Mode.OPEN, NOW, None, None, "b"
    )
    assert state == SwitchState(Mode.OPEN, NOW, by="b")


def test_what_was_written_is_read():
    for state in (SwitchState(), SwitchState(Mode.PAUSED, NOW, NOW + 1, Mode.READ_ONLY, "Wartung für Öl", "root")):
        assert decode(encode(state)) == state


WHOLE = json.loads(encode(SwitchState(Mode.PAUSED, NOW, NOW + HOUR, Mode.OPEN, "r", "root")))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 200,
        b"paused",
        b"[]",
        b"{}",
        b"\xff\xfe",
        encode(SwitchState())[:-5],
        b"[" * 100_000,
        *(
            json.dumps(WHOLE | change).encode()
            for change in (
                {"version": 2},
                {"mode": "opened"},
                {"mode": None},
                {"since": "0"},
                {"since": True},
                {"since": -1},
                {"until": 1.5},
                {"until": 10**15},
                {"after": "paused", "mode": "read-only"},
                {"reason": None},
                {"reason": "x\ny"},
                {"reason": "x" * (MAX_REASON + 1)},
                {"by": ["root"]},
                {"more": 1},
            )
        ),
        json.dumps({name: value for name, value in WHOLE.items() if name != "until"}).encode(),
    ],
)
def test_what_we_did_not_write_is_not_believed(content):
    with pytest.raises(SwitchDamaged):
        decode(content)


def test_no_byte_of_the_file_can_be_cut_off():
    content = encode(SwitchState(Mode.PAUSED, NOW, None, Mode.OPEN, "r", "root"))
    for length in range(len(content) - 2):
        with pytest.raises(SwitchDamaged):
            decode(content[:length])


def test_a_reason_is_one_line_that_a_terminal_can_show():
    assert sound_reason("  Jira upgrade ") == "Jira upgrade"
    for wrong in ("a\nb", "\x1b[2J", "x" * 201):
        with pytest.raises(ValueError, match="one printable line"):
            sound_reason(wrong)
