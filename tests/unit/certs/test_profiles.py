"""The table of profiles, and the names that certificates may carry."""

import ipaddress
from datetime import timedelta

import pytest
from cryptography import x509

from certs.errors import AuthorityUnfit, NameRejected
from certs.profiles import AGENT, BACKDATE, CA, SERVER, host_names, validity


@pytest.mark.parametrize(("profile", "days"), [(CA, 3652), (SERVER, 30), (AGENT, 7)], ids=["ca", "server", "agent"])
def test_a_lifetime_counts_from_now_and_the_start_is_backdated(profile, days, now):
    start, end = validity(profile, now)
    assert end == now.replace(microsecond=0) + timedelta(days=days)
    assert start == now.replace(microsecond=0) - BACKDATE
    assert timedelta(minutes=5) == BACKDATE


@pytest.mark.parametrize("profile", [CA, SERVER, AGENT], ids=["ca", "server", "agent"])
def test_lifetimes_outside_the_profile_are_refused(profile, now):
    second = timedelta(seconds=1)
    for span in (profile.shortest, profile.longest):
        assert validity(profile, now, span)[1] == now.replace(microsecond=0) + span
    for span in (profile.shortest - second, profile.longest + second, timedelta(0), -profile.lifetime):
        with pytest.raises(AuthorityUnfit):
            validity(profile, now, span)


def test_hosts_become_dns_names_and_addresses_once_each():
    names = host_names(["Gateway.Example.com", "10.0.0.1", "::1", "[::1]", "localhost", "10.0.0.1"])
    assert list(names) == [
        x509.DNSName("gateway.example.com"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
        x509.DNSName("localhost"),
    ]


@pytest.mark.parametrize(
    "host",
    ["", " ", "*.example.com", "a..b", ".a", "a.", "-a", "a-", "a_b", "ä.de", "a b", "a/b", "a:443", "1.2.3", "256.1.1.1",
     "a" * 64, ".".join(["a" * 60] * 5), "a\n", "a\x00.b"],
)  # fmt: skip
def test_hosts_that_are_no_plain_name_are_refused(host):
    with pytest.raises(NameRejected):
        host_names([host])


def test_a_server_needs_a_name():
    with pytest.raises(NameRejected):
        host_names([])
