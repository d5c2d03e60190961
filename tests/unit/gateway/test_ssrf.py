"""The addresses that a direct connection may not have, whatever they are written as."""

import ipaddress

import pytest

from gateway.ssrf import canonical, objection

FORBIDDEN = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1
192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.1
255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2001:20::1 2001:db8::1
2002:7f00:1::1 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fec0::1 ff02::1 4000::1 8000::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 104.192.141.1 126.255.255.255 128.0.0.1
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 185.166.143.1 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255
198.20.0.0 223.255.255.255
2600:1f14::1 2001:4860:4860::8888 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("text", FORBIDDEN.split())
def test_an_address_that_is_not_the_public_internet_is_refused(text):
    assert objection(ipaddress.ip_address(text), ())


@pytest.mark.parametrize("text", PUBLIC.split())
def test_a_public_address_passes(text):
    assert objection(ipaddress.ip_address(text), ()) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.20.30.40", "10.20.0.0/16"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("64:ff9b::a01:203", "10.0.0.0/8"),
        ("fd00::5", "fd00::/8"),
    ],
)
def test_an_allowed_network_is_exempt_and_only_that_network(address, network):
    allowed = (ipaddress.ip_network(network),)
    assert objection(ipaddress.ip_address(address), allowed) is None
    assert objection(ipaddress.ip_address("192.168.1.1"), allowed)


def test_the_objection_names_the_network_that_would_have_to_be_allowed():
    assert objection(ipaddress.ip_address("10.1.2.3"), ()) == "private, 10.0.0.0/8"


def test_an_ipv4_address_written_as_ipv6_is_the_ipv4_address():
    assert canonical(ipaddress.ip_address("::ffff:192.0.2.1")) == ipaddress.ip_address("192.0.2.1")
    assert canonical(ipaddress.ip_address("2600::1")) == ipaddress.ip_address("2600::1")
