"""Which instance of an agent Jira posts to: it stays where it is, and moves when that is gone for good."""

from datetime import timedelta

from gateway.events.lan_address import GRACE, LanAddress
from tests.support.subscriptions import NOW

A, B = b"https://a.corp:9443", b"https://b.corp:9443"
SOON, LATE = NOW + timedelta(seconds=5), NOW + GRACE + timedelta(seconds=1)


def test_without_a_choice_yet_it_is_the_same_one_whoever_comes_first():
    assert LanAddress().choose([B, A], NOW) == A
    assert LanAddress().choose([], NOW) is None
    assert LanAddress().choose(None, NOW) is None


def test_it_stays_although_another_instance_comes_or_its_own_is_away_for_a_moment():
    address = LanAddress()
    assert address.choose([B], NOW) == B
    assert address.choose([A, B], SOON) == B
    assert address.choose([A], SOON + timedelta(seconds=1)) == B


def test_it_moves_when_its_instance_stays_away():
    address = LanAddress()
    address.choose([B], NOW)
    assert address.choose([A], LATE) == A
    assert address.choose([A, B], LATE) == A


def test_while_no_instance_is_here_nothing_moves_however_long_that_is():
    address = LanAddress()
    address.choose([B], NOW)
    assert address.choose(None, NOW + timedelta(days=3)) == B
    assert address.choose([A], NOW + timedelta(days=3, seconds=1)) == B
    assert address.choose([A], NOW + timedelta(days=3) + GRACE + timedelta(seconds=1)) == A


def test_when_nobody_listens_any_more_there_is_none():
    address = LanAddress()
    address.choose([B], NOW)
    assert address.choose([], LATE) is None


def test_a_gateway_that_starts_goes_on_where_jira_posts_already_and_only_once():
    address = LanAddress()
    address.choose([A], NOW)
    address.adopt(B, NOW)
    assert address.choose([A], SOON) == B
    assert address.choose([A], LATE) == A
    address.adopt(B, LATE)
    assert address.choose([A], LATE) == A


def test_a_clock_that_was_set_back_holds_nothing_up():
    address = LanAddress()
    address.choose([B], LATE)
    assert address.choose([A], NOW) == A
