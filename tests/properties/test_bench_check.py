"""Whatever two runs found: what is the same or better never regresses, what is much worse without noise always does."""

from hypothesis import given
from hypothesis import strategies as st

from bench.accepted import Outcome, compare
from bench.marks import MARKS

MARK = st.sampled_from(sorted(MARKS)).map(MARKS.__getitem__)
FIGURE = st.floats(min_value=1e-3, max_value=1e6)
ROUNDS = st.lists(FIGURE, min_size=1, max_size=7)


@given(mark=MARK, rounds=ROUNDS)
def test_a_run_never_regresses_against_itself(mark, rounds):
    [one] = compare({mark.name: rounds}, {mark.name: rounds})
    assert one.outcome is Outcome.HELD
    assert one.worse == 0


@given(mark=MARK, figure=FIGURE, worse=st.floats(min_value=0.3, max_value=0.99))
def test_thirty_percent_worse_without_noise_always_regresses(mark, figure, worse):
    now = figure * (1 - worse if mark.higher_is_better else 1 + worse)
    [one] = compare({mark.name: [figure] * 3}, {mark.name: [now] * 3})
    assert one.outcome is Outcome.REGRESSED


@given(mark=MARK, rounds=ROUNDS, better=st.floats(min_value=1, max_value=1000))
def test_better_never_regresses(mark, rounds, better):
    now = [one * better if mark.higher_is_better else one / better for one in rounds]
    [one] = compare({mark.name: rounds}, {mark.name: now})
    assert one.outcome is Outcome.HELD


@given(mark=MARK, before=ROUNDS, now=ROUNDS)
def test_more_noise_never_makes_a_regression(mark, before, now):
    [one] = compare({mark.name: before}, {mark.name: now})
    wider = sorted(now)
    wider = [wider[0] / 2, *wider, wider[-1] * 2]  # the same median, a wider spread
    [noisier] = compare({mark.name: before}, {mark.name: wider})
    assert noisier.noise >= one.noise
    if one.outcome is not Outcome.REGRESSED:
        assert noisier.outcome is not Outcome.REGRESSED
