"""The one-time code and the messages of enrolment."""

import base64
import hashlib
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes

from certs import enrollment
from certs.ca import create_authority, sign_agent, sign_server
from certs.certificates import to_pem
from certs.csr import make_csr
from certs.enrollment import (
    EnrollmentCode,
    EnrollmentGrant,
    EnrollmentRequest,
    check_ca,
    make_code,
    parse_code,
    refusal,
    secret_hash,
    write_code,
)
from certs.errors import (
    CertificateRejected,
    CodeFlaw,
    CodeRejected,
    EnrollmentRefused,
    GatewayUntrusted,
    MessageRejected,
    RefusalReason,
)
from certs.identity import AgentIdentity
from certs.keys import make_key

CODE = EnrollmentCode(SecretBytes(b"s" * 32), "wss://gateway.example.com:8443", b"f" * 32)
TEXT = write_code(CODE).get_secret_value()
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8}){0,3}", fullmatch=True)


def flaw(text):
    with pytest.raises(CodeRejected) as refused:
        parse_code(text)
    return refused.value.flaw


@given(
    st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), HOSTS, st.integers(1, 65535) | st.none()
)
def test_a_code_survives_being_written_and_parsed(secret, fingerprint, host, port):
    address = f"wss://{host}" + ("" if port is None else f":{port}")
    code = EnrollmentCode(SecretBytes(secret), address, fingerprint)
    text = write_code(code).get_secret_value()
    assert text.startswith("jte_")
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")
    assert parse_code(text) == code
    assert parse_code(f"  {text}\r\n") == code


def test_a_new_code_has_a_new_secret_of_256_bits():
    secrets = {make_code(CODE.address, CODE.ca_fingerprint).secret.get_secret_value() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {32}


def test_a_code_cut_anywhere_is_noticed():
    for end in range(4, len(TEXT)):
        assert flaw(TEXT[:end]) is CodeFlaw.DAMAGED
    for start in range(1, len(TEXT)):
        assert flaw("jte_" + TEXT[4 + start :]) is CodeFlaw.DAMAGED


@given(st.integers(4, len(TEXT) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_+/=. \n\x00é"))
def test_a_code_with_one_wrong_character_is_noticed(place, character):
    changed = TEXT[:place] + character + TEXT[place + 1 :]
    if changed.strip() != TEXT:
        assert flaw(changed) is CodeFlaw.DAMAGED


@given(st.integers(4, len(TEXT)), st.sampled_from("A=+ \n-é"))
def test_a_code_with_one_character_too_many_is_noticed(place, character):
    changed = TEXT[:place] + character + TEXT[place:]
    if changed.strip() != TEXT:
        assert flaw(changed) is CodeFlaw.DAMAGED


@given(st.text())
def test_any_text_is_refused_with_our_own_error(text):
    assert flaw(text) is (CodeFlaw.DAMAGED if text.strip().startswith("jte_") else CodeFlaw.PREFIX)
    assert flaw("jte_" + text) is CodeFlaw.DAMAGED


def test_a_huge_code_is_refused():
    assert flaw("jte_" + "A" * 10_000_000) is CodeFlaw.DAMAGED


def test_a_code_of_a_newer_gateway_says_so():
    body = b"\x02" + b"x" * 100
    digest = hashlib.sha256(b"jira-tunnel enrolment code" + body).digest()[:4]
    assert flaw("jte_" + base64.urlsafe_b64encode(body + digest).decode().rstrip("=")) is CodeFlaw.VERSION


@pytest.mark.parametrize("address", ["wss://h", "wss://h:1", "wss://10.0.0.1:8443", "wss://[::1]", "wss://[::1]:8443"])
def test_addresses_that_codes_carry(address):
    assert parse_code(write_code(make_code(address, b"f" * 32)).get_secret_value()).address == address


@pytest.mark.parametrize(
    "address",
    ["", "h", "ws://h", "https://h", "wss://", "wss://h/", "wss://h/x", "wss://u@h", "wss://h?q", "wss://h#f", "wss://h:0",
     "wss://h:65536", "wss://h:", "wss://h:x", "wss://h:08", "WSS://h", "wss://H", "wss://h h", "wss://h\n", "wss://ä",
     "wss://[::1", "wss://h,wss://i", "wss://%68", "wss://" + "a" * 300],
)  # fmt: skip
def test_addresses_that_codes_never_carry(address):
    with pytest.raises(CodeRejected) as refused:
        make_code(address, b"f" * 32)
    assert refused.value.flaw is CodeFlaw.ADDRESS


def test_the_gateway_stores_a_hash_of_the_secret():
    assert secret_hash(CODE.secret) == hashlib.sha256(b"s" * 32).digest()


def test_the_secret_has_no_printable_form():
    request = EnrollmentRequest(CODE.secret, b"csr")
    for value in (CODE, request, write_code(CODE)):
        for shown in (repr(value), str(value)):
            assert "ssss" not in shown
            assert TEXT not in shown
    for wrong in (TEXT[:-1], TEXT + "A"):
        with pytest.raises(CodeRejected) as refused:
            parse_code(wrong)
        assert TEXT[4:20] not in str(refused.value)


def test_only_the_ca_that_the_code_names_is_accepted(authority, now):
    other = create_authority(now)
    assert check_ca(authority.pem, authority.fingerprint) == authority.pem
    for wrong in (other.pem, authority.pem + other.pem, authority.pem * 2):
        with pytest.raises(GatewayUntrusted):
            check_ca(wrong, authority.fingerprint)
    for wrong in (b"", b"nonsense", b"x" * (enrollment.MAX_CA_BYTES + 1)):
        with pytest.raises(MessageRejected):
            check_ca(wrong, authority.fingerprint)


@pytest.mark.parametrize("disguise", ["BEGIN CERTéIFICATE", "BEGIN TRUSTED CERTIFICATE", "BEGIN  CERTIFICATE"])
def test_nothing_of_the_message_but_the_pinned_ca_is_passed_on(authority, now, disguise):
    text = create_authority(now).pem.decode()
    hidden = text.replace("BEGIN CERTIFICATE", disguise).replace("END CERTIFICATE", disguise.replace("BEGIN", "END"))
    for message in (hidden.encode() + authority.pem, authority.pem + hidden.encode()):
        assert check_ca(message, authority.fingerprint) == authority.pem


def test_an_interceptor_is_named(authority, now):
    with pytest.raises(GatewayUntrusted) as refused:
        check_ca(authority.pem, b"f" * 32)
    assert authority.certificate.subject.rfc4514_string() in str(refused.value)


def test_a_request_survives_being_written_and_read():
    request = EnrollmentRequest(CODE.secret, make_csr(make_key()))
    assert EnrollmentRequest.from_json(request.to_json()) == request
    assert EnrollmentRequest.from_json(request.to_json().decode()) == request


SECRET = base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": 2, "secret": SECRET, "csr": "x"},
        {"version": 1.0, "secret": SECRET, "csr": "x"},
        {"version": True, "secret": SECRET, "csr": "x"},
        {"version": "1", "secret": SECRET, "csr": "x"},
        {"version": 1, "secret": SECRET},
        {"version": 1, "secret": SECRET, "csr": 1},
        {"version": 1, "secret": SECRET, "csr": "ä"},
        {"version": 1, "secret": SECRET, "csr": "x", "name": "hq"},
        {"version": 1, "secret": SECRET, "csr": "x", "name": 1},
        {"version": 1, "secret": SECRET[:-1], "csr": "x"},
        {"version": 1, "secret": SECRET + "A", "csr": "x"},
        {"version": 1, "secret": SECRET + "=", "csr": "x"},
        {"version": 1, "secret": SECRET[:-1] + "t", "csr": "x"},
        {"version": 1, "secret": "", "csr": "x"},
        {"version": 1, "secret": SECRET, "csr": "x" * 9000},
        [],
        "text",
        None,
    ],
)
def test_requests_of_another_form_are_refused(fields):
    with pytest.raises(MessageRejected) as refused:
        EnrollmentRequest.from_json(json.dumps(fields))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"{" * 15_000,
        b'{"version":1,"version":1,"secret":"","csr":""}',
        b"x" * 20_000,
    ],
)
def test_messages_that_are_no_plain_object_are_refused(message):
    for kind in (EnrollmentRequest, EnrollmentGrant):
        with pytest.raises(MessageRejected):
            kind.from_json(message)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_message_are_refused_with_our_own_error(message):
    for kind in (EnrollmentRequest, EnrollmentGrant):
        with pytest.raises((MessageRejected, EnrollmentRefused)):
            kind.from_json(message)


def test_a_grant_survives_and_says_who_the_agent_is(authority, now):
    key = make_key()
    identity = AgentIdentity("hq", "a1")
    certificate = sign_agent(authority, make_csr(key), identity, now)
    grant = EnrollmentGrant(to_pem([certificate]), authority.pem)
    assert EnrollmentGrant.from_json(grant.to_json()) == grant
    assert grant.check(key, authority.fingerprint).identity == identity


def test_a_grant_that_fits_not_our_key_or_not_the_pinned_ca_is_refused(authority, now):
    key, other = make_key(), create_authority(now)
    identity = AgentIdentity("hq", "a1")
    mine = to_pem([sign_agent(authority, make_csr(key), identity, now)])
    foreign = to_pem([sign_agent(authority, make_csr(make_key()), identity, now)])
    by_other = to_pem([sign_agent(other, make_csr(key), identity, now)])
    server = to_pem([sign_server(authority, make_csr(key), ["localhost"], now)])
    for grant in (
        EnrollmentGrant(foreign, authority.pem),
        EnrollmentGrant(mine, other.pem),
        EnrollmentGrant(by_other, authority.pem),
        EnrollmentGrant(by_other, other.pem),
    ):
        with pytest.raises(GatewayUntrusted):
            grant.check(key, authority.fingerprint)
    for grant in (
        EnrollmentGrant(server, authority.pem),
        EnrollmentGrant(b"x", authority.pem),
        EnrollmentGrant(mine, b""),
    ):
        with pytest.raises(CertificateRejected):
            grant.check(key, authority.fingerprint)


@pytest.mark.parametrize("reason", RefusalReason)
def test_a_refusal_reaches_the_agent_with_its_reason(reason):
    with pytest.raises(EnrollmentRefused) as refused:
        EnrollmentGrant.from_json(refusal(reason))
    assert refused.value.reason is reason


def test_a_refusal_for_a_reason_we_do_not_know_is_still_a_refusal():
    with pytest.raises(EnrollmentRefused):
        EnrollmentGrant.from_json(b'{"version":1,"refused":"moon_phase"}')
