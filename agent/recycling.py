"""How old a link gets. Pure: the dice come in as arguments.

A link that never ends never meets another gateway, another route or another release of either side; and whatever a
middlebox or a leak does to a socket that lives for months is nobody's test. So each is replaced about once a day, make
before break, at a moment of its own.
"""

AGE_SECONDS = 24 * 3600.0


def lifetime(dice: float, age_seconds: float = AGE_SECONDS) -> float:
    """Return the seconds after which one link is replaced: between 3/4 and 5/4 of `age_seconds`; `dice` in [0, 1)."""
    return age_seconds * (0.75 + 0.5 * dice)
