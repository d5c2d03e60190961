"""A subscriber's address: what it says, and what is refused before anybody dials."""

from ipaddress import ip_network

import pytest

from gateway.events.targets import Place, check_target, read_target
from gateway.unacceptable import Unacceptable

PRIVATE = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("url", "place", "path", "host"),
    [
        ("https://ci.example.com", ("https", "ci.example.com", 443), b"/", b"ci.example.com"),
        ("HTTPS://CI.example.com:443/a?b=%2F&c", ("https", "ci.example.com", 443), b"/a?b=%2F&c", b"ci.example.com"),
        ("https://ci.example.com?x=1@2", ("https", "ci.example.com", 443), b"/?x=1@2", b"ci.example.com"),
        ("https://ci.example.com/@me", ("https", "ci.example.com", 443), b"/@me", b"ci.example.com"),
        ("http://10.1.2.3:8080/..;/a//b", ("http", "10.1.2.3", 8080), b"/..;/a//b", b"10.1.2.3:8080"),
        ("https://[2001:DB8::1]:8443/", ("https", "2001:db8::1", 8443), b"/", b"[2001:db8::1]:8443"),
    ],
)
def test_an_address_is_a_server_and_a_path(url, place, path, host):
    target = read_target(url)
    assert target == (Place(*place), path)
    assert target.place.host_header == host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ci.example.com",
        "//ci.example.com/",
        "ftp://ci.example.com/",
        "https://",
        "https:///path",
        "https://user@ci.example.com/",
        "https://user:pw@ci.example.com/",
        "https://ci.example.com@evil.example/",
        "https://ci.example.com/#part",
        "https://ci.example.com:0/",
        "https://ci.example.com:65536/",
        "https://ci.example.com:/",
        "https://ci.example.com/a b",
        "https://ci.example.com/a\\b",
        "https://ci.example.com\\@evil.example/",
        "https://ci.example.com/\r\nHost: evil",
        "https://bücher.example/",
        "https://[fe80::1%eth0]/",
        "https://ci_example!/",
        "https://ci.example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_plain_address_is_refused(url):
    with pytest.raises(Unacceptable) as refused:
        read_target(url)
    assert refused.value.field == "deliver_to"
    assert str(refused.value).startswith("deliver_to")


@pytest.mark.parametrize(
    ("url", "networks"),
    [
        ("https://ci.example.com/", ()),
        ("https://8.8.8.8/", ()),
        ("https://10.1.2.3/", PRIVATE),
        ("http://10.1.2.3/", PRIVATE),
        ("http://[fd00::1]/", PRIVATE),
        ("http://ci.internal/", PRIVATE),
        ("http://localhost:8000/", LOOPBACK),
        ("https://localhost/", LOOPBACK),
    ],
)
def test_an_address_that_may_be_dialled_passes(url, networks):
    check_target(url, networks)


@pytest.mark.parametrize(
    ("url", "networks", "reason"),
    [
        ("http://ci.example.com/", (), "use https://"),
        ("http://8.8.8.8/", PRIVATE, "http:// goes only into"),
        ("http://[::ffff:8.8.8.8]/", PRIVATE, "http:// goes only into"),
        ("http://localhost/", PRIVATE, "http:// goes only into"),
        ("https://10.1.2.3/", (), "private"),
        ("https://[::ffff:10.1.2.3]/", (), "private"),
        ("https://169.254.169.254/latest", PRIVATE, "cloud metadata"),
        ("https://localhost/", (), "loopback"),
        ("https://a.localhost/", PRIVATE, "loopback"),
        ("https://[::1]/", PRIVATE, "loopback"),
        ("https://user@ci.example.com/", (), "user name"),
    ],
)
def test_an_address_that_never_may_be_dialled_is_refused(url, networks, reason):
    with pytest.raises(Unacceptable, match=reason):
        check_target(url, networks)
