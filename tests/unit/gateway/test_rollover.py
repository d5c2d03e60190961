"""Who still needs the older CA: by the records, the live links, and what was seen."""

from datetime import UTC, datetime, timedelta

import pytest

from certs.ca import create_authority
from certs.certificates import AgentCertificate
from certs.identity import AgentIdentity
from certs.rollover import Waiting
from gateway.rollover import Records, rotated_at, waiting_for
from gateway.store import Instance, Invite

SINCE = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = SINCE + DAY
OLD, NEW = b"old", b"new"
HQ = AgentIdentity("hq", "i1")


def instance(*, enrolled=-2, expires=5, revoked=None):
    return Instance("hq", "i1", "01", SINCE + enrolled * DAY, SINCE + expires * DAY, revoked)


def link(signer, *, expires=5):
    return AgentCertificate(HQ, 1, SINCE - 2 * DAY, SINCE + expires * DAY, signer)


def code(*, created=0.5, expires=1.5, used=None):
    return Invite("00", "hq", SINCE + created * DAY, SINCE + expires * DAY, used)


def waiting(*, instances=(), codes=(), links=(), proven=(), now=NOW):
    return waiting_for(SINCE, Records(instances, codes), links, set(proven), NEW, now)


@pytest.mark.parametrize(
    ("row", "until"),
    [
        (instance(), SINCE + 5 * DAY),
        (instance(expires=7.9), SINCE + 7 * DAY),  # renewed since, but not seen with it: its grant may have been lost
        (instance(expires=0.5), None),  # has ended
        (instance(enrolled=0.5, expires=7.5), None),  # by the new CA from its beginning
        (instance(revoked=SINCE), None),
    ],
)
def test_an_instance_waits_until_it_is_seen_with_a_new_certificate_or_its_older_one_ends(row, until):
    expected = () if until is None else (Waiting("hq/i1", until),)

    assert waiting(instances=[row]) == expected
    assert waiting(instances=[row], proven=[HQ]) == ()


def test_who_enrolled_in_the_second_before_the_new_ca_was_made_waits():
    made = SINCE + timedelta(milliseconds=900)
    since = rotated_at(create_authority(made).certificate.not_valid_before_utc)

    assert made - timedelta(milliseconds=500) < since
    assert made <= since <= made + timedelta(seconds=1)


def test_a_link_by_the_older_ca_waits_also_when_it_is_not_on_record():
    assert waiting(links=[link(OLD)]) == (Waiting("hq/i1", SINCE + 5 * DAY),)
    assert waiting(links=[link(OLD, expires=30)]) == (Waiting("hq/i1", SINCE + 30 * DAY),)
    assert waiting(links=[link(NEW)]) == ()
    assert waiting(links=[link(OLD)], proven=[HQ]) == (), "an older link that drains beside the new ones"


def test_an_open_code_waits_for_it_pins_the_older_ca_but_not_for_ever():
    assert waiting(codes=[code()]) == (Waiting("an enrolment code for hq", SINCE + 1.5 * DAY),)
    assert waiting(codes=[code(used=SINCE)]) == ()
    assert waiting(codes=[code()], now=SINCE + 1.5 * DAY) == ()
    late = code(created=7.5, expires=8.5)
    assert waiting(codes=[late], now=SINCE + 7.9 * DAY) == (Waiting("an enrolment code for hq", SINCE + 8 * DAY),)
    assert waiting(codes=[late], now=SINCE + 8 * DAY) == ()


def test_nobody_waits_longer_than_a_certificate_and_a_code_last_but_who_has_a_longer_certificate():
    rows = [instance(expires=days) for days in range(40)]
    codes = [code(created=days, expires=days + 1) for days in range(40)]

    assert waiting(instances=rows, codes=codes, now=SINCE + 8 * DAY) == ()
