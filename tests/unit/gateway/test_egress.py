"""From where the gateway dials: one address per family, families that are not listed stay undialled."""

import ipaddress
import socket
from types import SimpleNamespace

import pytest

from gateway.egress import AddressForbidden, Dialer, Egress, one_per_family
from http1.origin import DialAddress
from runtime.configuration import ConfigurationError

V4, V6 = ipaddress.ip_address("9.9.9.9"), ipaddress.ip_address("2620:fe::fe")
JIRA4, JIRA6 = ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("2001:4860:4860::8888")
PRIVATE = ipaddress.ip_address("10.0.0.1")


def dialer(*sources, allowed=()):
    return Dialer(Egress(one_per_family(sources, "X")), allowed)


def test_without_an_egress_address_every_family_is_dialled_from_anywhere():
    assert dialer().choose([JIRA6, JIRA4]) == [DialAddress(str(JIRA6), None), DialAddress(str(JIRA4), None)]


def test_each_family_is_dialled_from_its_own_address():
    assert dialer(V4, V6).choose([JIRA6, JIRA4]) == [
        DialAddress(str(JIRA6), str(V6)),
        DialAddress(str(JIRA4), str(V4)),
    ]


def test_a_family_that_is_not_listed_is_not_dialled():
    assert dialer(V4).choose([JIRA6, JIRA4]) == [DialAddress(str(JIRA4), str(V4))]
    with pytest.raises(AddressForbidden, match="no IPv4 address"):
        dialer(V4).choose([JIRA6])


def test_only_the_public_ones_of_several_addresses_are_dialled():
    assert dialer().choose([PRIVATE, JIRA4]) == [DialAddress(str(JIRA4), None)]


def test_a_host_with_private_addresses_only_is_refused_and_says_which_network_to_allow():
    with pytest.raises(AddressForbidden) as refused:
        dialer().choose([PRIVATE])
    assert "10.0.0.0/8" in refused.value.strerror
    assert "JIRA_GATEWAY_ALLOW_NETWORKS" in refused.value.strerror
    assert dialer(allowed=[ipaddress.ip_network("10.0.0.0/8")]).choose([PRIVATE])


def test_a_name_with_many_addresses_is_not_dialled_for_ever():
    many = [ipaddress.ip_address(f"8.8.8.{last}") for last in range(1, 200)]
    assert len(dialer().choose(many)) == 4


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "::1", "localhost"])
async def test_however_loopback_is_written_it_is_refused(host):
    with pytest.raises(AddressForbidden, match="loopback"):
        await dialer().resolve(host, 443)


async def test_a_name_is_resolved_anew_for_every_dial(monkeypatch):
    answers = iter(["8.8.8.8", "127.0.0.1"])

    def rebinding(*_, **__):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 443))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    checked = dialer()
    assert await checked.resolve("rebinds.example", 443) == [DialAddress("8.8.8.8", None)]
    with pytest.raises(AddressForbidden):
        await checked.resolve("rebinds.example", 443)


def test_two_addresses_of_one_family_are_a_configuration_error():
    settings = SimpleNamespace(egress_ip=(V4, JIRA4))
    with pytest.raises(ConfigurationError, match="JIRA_GATEWAY_EGRESS_IP: names two IPv4 addresses"):
        Egress.from_settings(settings)


def test_an_address_that_this_machine_lacks_is_a_configuration_error_at_the_start():
    Egress({4: ipaddress.ip_address("127.0.0.1")}).check_bindable()
    with pytest.raises(ConfigurationError) as error:
        Egress({4: ipaddress.ip_address("203.0.113.77")}).check_bindable()
    assert str(error.value).startswith("JIRA_GATEWAY_EGRESS_IP: 203.0.113.77 cannot be bound (")
