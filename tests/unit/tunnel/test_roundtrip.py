"""The round trip of a link."""

from tunnel.roundtrip import RoundTrip


def test_nothing_is_known_before_the_first_answer():
    assert RoundTrip().least is None


def test_the_least_of_the_latest_samples_counts():
    trip = RoundTrip()
    for took in (0.5, 0.05, 0.2):
        trip.finish(trip.start(10.0), 10.0 + took)
    assert round(trip.least, 6) == 0.05
    for _ in range(8):
        trip.finish(trip.start(10.0), 10.3)
    assert round(trip.least, 6) == 0.3


def test_an_answer_to_no_ping_or_to_an_older_one_counts_for_nothing():
    trip = RoundTrip()
    trip.finish(bytes(8), 1.0)
    old = trip.start(1.0)
    trip.start(2.0)
    trip.finish(old, 3.0)
    assert trip.least is None
