"""What the doctor makes of what it saw at a gateway's address."""

from datetime import UTC, datetime

import pytest

from agent.addresses import GatewayAddress
from agent.dialer import ProxyRoute
from agent.doctor.gateway import Way, check_clock, check_dns, judge_certificate, judge_clock
from agent.sighting import Sighting, read_clock
from certs.ca import sign_server
from certs.csr import make_csr
from certs.keys import make_key
from certs.shown import read_shown
from tests.support.agent_identity import make_authority

GATEWAY = GatewayAddress("gateway.example", 8443)
NOW = datetime(2027, 1, 1, 12, 0, 0, tzinfo=UTC)


def shown(authority, *hosts):
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = sign_server(authority, make_csr(make_key()), list(hosts), datetime.now(UTC))
    return read_shown(certificate.public_bytes(Encoding.DER))


def test_a_certificate_of_another_issuer_is_an_interception_and_names_it():
    ours, theirs = make_authority(), make_authority()
    found = judge_certificate(GATEWAY, shown(theirs, "gateway.example"), ours.pem, is_pinned=True)
    assert found.result == "fail"
    assert "intercepted" in found.detail
    assert theirs.certificate.subject.rfc4514_string() in found.detail
    assert "TLS inspection" in found.action


def test_a_certificate_for_another_name_is_told_with_its_names():
    ours = make_authority()
    found = judge_certificate(GATEWAY, shown(ours, "other.example"), ours.pem, is_pinned=True)
    assert (found.result, "for other.example, not for gateway.example" in found.detail) == ("fail", True)


def test_the_right_certificate_passes_and_says_when_the_ca_is_not_known_for_sure():
    ours = make_authority()
    certificate = shown(ours, "gateway.example")
    assert "enrolment code" not in judge_certificate(GATEWAY, certificate, ours.pem, is_pinned=True).detail
    found = judge_certificate(GATEWAY, certificate, ours.pem, is_pinned=False)
    assert (found.result, "enrolment code" in found.detail) == ("pass", True)


@pytest.mark.parametrize(
    ("ahead", "result", "words"),
    [
        (0.2, "pass", "within 1 s"),
        (-29, "pass", "within 29 s"),
        (31, "fail", "31 s ahead of"),
        (-200, "fail", "3.3 min behind"),
        (-90000, "fail", "25.0 h behind"),
        (500000, "fail", "5.8 days ahead of"),
    ],
)
def test_a_clock_that_is_wrong_is_told_by_how_much_and_which_way(ahead, result, words):
    found = judge_clock(ahead)
    assert (found.result, words in found.detail) == (result, True)
    assert check_clock(Sighting(None, clock_ahead=ahead)) == found


def test_without_a_date_nothing_is_said_of_the_clock():
    assert check_clock(Sighting(None)).result == "skip"


@pytest.mark.parametrize(
    ("head", "ahead"),
    [
        (b"HTTP/1.1 404 Not Found\r\nDate: Fri, 01 Jan 2027 11:59:00 GMT\r\n\r\n", 59.5),
        (b"HTTP/1.1 200 OK\r\nX: y\r\ndate:Fri, 01 Jan 2027 12:01:00 GMT\r\n\r\n", -60.5),
        (b"HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nDate: Fri, 99 Foo 99999999999 11:59:00 GMT\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nDate: \xff\xfe\r\n\r\n", None),
        (b"\x00garbage", None),
        (b"", None),
    ],
)
def test_the_time_of_an_answer_is_read_or_left(head, ahead):
    assert read_clock(head, NOW) == ahead


async def test_a_name_that_only_the_proxy_knows_is_no_failure(monkeypatch):
    async def unknown(host, port):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("agent.doctor.gateway.resolve", unknown)
    from pydantic import SecretStr

    def way(proxy):
        return Way(GATEWAY, ProxyRoute(lambda _: proxy), "test", None)

    assert (await check_dns(way(SecretStr("http://proxy.example:3128")))).result == "skip"
    found = await check_dns(way(None))
    assert (found.result, "Name or service not known" in found.detail) == ("fail", True)
    address = Way(GatewayAddress("::1", 1), ProxyRoute(lambda _: None), "test", None)
    assert (await check_dns(address)).result == "pass"
