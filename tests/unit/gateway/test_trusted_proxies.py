import ipaddress

import pytest

from gateway.trusted_proxies import MAX_HOPS, TrustedProxies

PROXIES = TrustedProxies([ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8")])


def forwarded(*values):
    return [(b"X-Forwarded-For", value.encode()) for value in values]


@pytest.mark.parametrize(
    ("peer", "values", "caller"),
    [
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),  # a stranger says so
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what a caller itself put before it
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),  # two load balancers
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # repeated headers are one list
        ("10.0.0.1", ["6.6.6.6", "10.0.0.9"], "6.6.6.6"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, garbage\x1b[2J"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_only_what_a_load_balancer_of_ours_has_seen_itself_counts(peer, values, caller):
    assert PROXIES.caller(peer, forwarded(*values)) == caller


def test_the_header_is_found_whatever_its_case_and_no_other_is():
    assert PROXIES.caller("10.0.0.1", [(b"x-FORWARDED-for", b"198.51.100.1")]) == "198.51.100.1"
    assert PROXIES.caller("10.0.0.1", [(b"Forwarded", b"for=198.51.100.1")]) == "10.0.0.1"


def test_without_a_setting_nobody_is_believed():
    nobody = TrustedProxies([])
    assert not nobody
    assert not nobody.trusts("127.0.0.1")
    assert nobody.caller("127.0.0.1", forwarded("198.51.100.1")) == "127.0.0.1"


def test_a_long_list_costs_no_more_than_its_end():
    assert PROXIES.caller("10.0.0.1", forwarded(",".join(["10.0.0.2"] * 100_000))) == "10.0.0.2"
    assert MAX_HOPS < 100
