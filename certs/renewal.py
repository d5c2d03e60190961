"""When a certificate is replaced. Pure: times and randomness come in as arguments.

Half of the lifetime is left when renewal begins, so days of failed attempts cost nothing; the jitter keeps a
thousand agents enrolled in one afternoon from renewing in one second (SPIRE's rule: half-life, ±10 %).
"""

from datetime import datetime
from random import Random

JITTER = 0.1


def renewal_due(not_before: datetime, not_after: datetime, rng: Random) -> datetime:
    """Return the moment at which to renew; draw once per certificate and keep it."""
    half_life = (not_after - not_before) / 2
    return not_before + half_life * rng.uniform(1 - JITTER, 1 + JITTER)


def is_expired(not_after: datetime, now: datetime) -> bool:
    """Tell whether the certificate is over; TLS peers refuse it from then on."""
    return now >= not_after


def is_valid(not_before: datetime, not_after: datetime, now: datetime) -> bool:
    """Tell whether a peer whose clock shows `now` accepts the certificate's dates."""
    return not_before <= now < not_after
