"""A fresh run beside the accepted one."""

from bench import accepted, report
from bench.accepted import Outcome, compare, rounds_of
from bench.marks import MARKS
from tests.support.bench_runs import run

REQUESTS = "requests/s at 16 / ssh -R"
CPU = "CPU at 128 / ssh -R"


def _outcome(mark: str, before: list[float], now: list[float]) -> Outcome:
    [one] = compare({mark: before}, {mark: now})
    return one.outcome


def test_absolute_speeds_are_not_compared_but_memory_is():
    compared = rounds_of(run())
    assert not {"CPU at 128", "download", "upload"} & set(compared)
    assert {REQUESTS, CPU, "agent idle", "idle link"} <= set(compared)


def test_a_regression_is_more_than_a_fifth_beyond_the_noise():
    assert _outcome(REQUESTS, [10.0], [8.01]) is Outcome.HELD
    assert _outcome(REQUESTS, [10.0], [7.99]) is Outcome.REGRESSED
    assert _outcome(CPU, [10.0], [11.99]) is Outcome.HELD
    assert _outcome(CPU, [10.0], [12.01]) is Outcome.REGRESSED


def test_the_noise_is_half_the_sum_of_both_spreads():
    before, now = [9.0, 10.0, 11.0], [7.0, 7.0, 7.7]  # spreads of 20 % and 10 %: 15 % of noise, 30 % worse
    [one] = compare({REQUESTS: before}, {REQUESTS: now})
    assert (round(one.worse, 9), round(one.noise, 9)) == (0.3, 0.15)
    assert one.outcome is Outcome.NOISY
    assert _outcome(REQUESTS, before, [6.4, 6.4, 6.4]) is Outcome.REGRESSED


def test_a_mark_that_one_run_lacks_is_skipped_and_named():
    compared = compare({REQUESTS: [10.0], CPU: [2.0]}, {CPU: [2.0]})
    assert {one.mark: one.outcome for one in compared} == {REQUESTS: Outcome.SKIPPED, CPU: Outcome.HELD}
    assert report.findings(compared) == [f"skipped: {REQUESTS}: measured in one of the two runs only"]


def test_a_regression_is_told_in_one_line_with_from_to_and_noise():
    compared = compare({REQUESTS: [10.0, 10.0, 10.5]}, {REQUESTS: [5.0, 5.0, 5.0]})
    assert report.findings(compared) == [
        "REGRESSION: requests/s at 16 / ssh -R: from 10 to 5, worse by +50% (allowed 20% beyond noise of 2%)"
    ]
    assert "| requests/s at 16 / ssh -R | 10 | 5 | +50% | 2% | regressed |" in report.comparison(compared)


def test_an_accepted_run_is_read_as_it_was_written(tmp_path):
    figures = run()
    accepted.accept(figures, tmp_path / "accepted.json")
    before = accepted.read(tmp_path / "accepted.json")
    assert before["machine"] == figures.machine
    compared = compare(before["marks"], rounds_of(figures))
    assert len(compared) == sum(mark.compared for mark in MARKS.values())
    assert {one.outcome for one in compared} == {Outcome.HELD}


def test_a_run_is_unfit_with_too_few_rounds_and_not_accepted_with_too_few_systems():
    for to_be_accepted in (False, True):
        assert accepted.unfit(run(), to_be_accepted=to_be_accepted) is None
        assert "rounds" in (accepted.unfit(run(2), to_be_accepted=to_be_accepted) or "")
    figures = run()
    del figures.systems["broker"]
    assert accepted.unfit(figures, to_be_accepted=True) is None
    del figures.systems["nginx"]
    assert accepted.unfit(figures, to_be_accepted=True) == "it lacks nginx"
    assert accepted.unfit(figures, to_be_accepted=False) is None


def test_marks_that_noise_hides_are_counted():
    compared = compare({REQUESTS: [8.0, 10.0, 14.0], CPU: [2.0]}, {REQUESTS: [10.0], CPU: [2.0]})
    assert report.findings(compared) == ["1 of 2 marks have a noise above 20%: a quieter machine sees more"]
