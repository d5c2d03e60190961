"""When certificates are renewed and over."""

from datetime import timedelta
from random import Random

from certs.renewal import is_expired, is_valid, renewal_due


def test_renewal_falls_within_ten_percent_around_the_half_life(now):
    end = now + timedelta(days=7)
    rng = Random(1)
    shares = [(renewal_due(now, end, rng) - now) / (end - now) for _ in range(1000)]
    assert 0.45 <= min(shares) < 0.46
    assert 0.54 < max(shares) <= 0.55


def test_a_thousand_agents_do_not_renew_at_once(now):
    end = now + timedelta(days=7)
    rng = Random(2)
    hours = [int((renewal_due(now, end, rng) - now) / timedelta(hours=1)) for _ in range(1000)]
    assert max(hours.count(hour) for hour in set(hours)) < 100


def test_expiry_is_exact(now):
    second = timedelta(seconds=1)
    assert is_expired(now, now)
    assert not is_expired(now + second, now)
    assert is_valid(now, now + second, now)
    assert not is_valid(now + second, now + 2 * second, now)
    assert not is_valid(now - second, now, now)
