"""What measurements of a line mean."""

from agent.doctor.line import judge_congestion, judge_rate, judge_round_trip
from tunnel.probing import Tally


def test_a_round_trip_is_told_by_its_middle():
    found = judge_round_trip([0.02, 0.5, 0.03])
    assert (found.result, found.detail, found.action) == ("pass", "30.0 ms (between 20.0 and 500.0)", "")
    assert judge_round_trip([0.02, 1.5]).action


def test_a_rate_is_told_in_megabits():
    found = judge_rate("download", Tally(12_500_000, 5.0))
    assert (found.result, found.detail.startswith("20.0 Mbit/s")) == ("pass", True)
    assert judge_rate("upload", Tally(125_000, 5.0)).action
    assert judge_rate("upload", Tally(0, 0.0)).result == "fail"


def test_cubic_is_advised_against_but_no_failure():
    assert judge_congestion("bbr", "cubic", "reno cubic bbr").action == ""
    advised = judge_congestion("cubic", "", "reno cubic bbr")
    assert (advised.result, "modprobe" in advised.action) == ("pass", False)
    assert "modprobe tcp_bbr" in judge_congestion("cubic", "bbr", "reno cubic").action
    assert judge_congestion(None, "bbr", None).result == "skip"
