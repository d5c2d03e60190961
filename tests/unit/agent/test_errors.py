"""The table of dial failures: one row per exception."""

import socket
import ssl

import pytest

from agent.errors import Cause, DialError, classify, classify_proxy_status, classify_status, describe


def ssl_error(reason):
    error = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower()}")
    error.reason = reason
    return error


def verification_error():
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (verification_error(), Cause.GATEWAY_UNTRUSTED),
        (ssl_error("SSLV3_ALERT_CERTIFICATE_EXPIRED"), Cause.CERTIFICATE_REJECTED),
        (ssl_error("TLSV1_ALERT_UNKNOWN_CA"), Cause.CERTIFICATE_REJECTED),
        (ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), Cause.CERTIFICATE_REJECTED),
        (ssl_error("WRONG_VERSION_NUMBER"), Cause.HANDSHAKE_CUT),
        (ssl.SSLEOFError(8, "EOF"), Cause.UNREACHABLE),
        (socket.gaierror(-2, "Name or service not known"), Cause.NAME_UNKNOWN),
        (TimeoutError(), Cause.UNREACHABLE),
        (ConnectionRefusedError(111, "Connection refused"), Cause.UNREACHABLE),
        (ConnectionResetError(104, "reset"), Cause.UNREACHABLE),
        (OSError(113, "No route to host"), Cause.UNREACHABLE),
        (EOFError(), Cause.HANDSHAKE_CUT),
        (ValueError("something odd"), Cause.HANDSHAKE_CUT),
    ],
)
def test_each_exception_has_its_cause(error, cause):
    assert classify(error) is cause


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, Cause.CERTIFICATE_REJECTED),
        (403, Cause.CERTIFICATE_REJECTED),
        (404, Cause.NOT_A_GATEWAY),
        (426, Cause.NOT_A_GATEWAY),
        (429, Cause.GATEWAY_BUSY),
        (502, Cause.GATEWAY_BUSY),
        (503, Cause.GATEWAY_BUSY),
    ],
)
def test_each_refusal_of_the_gateway_has_its_cause(status, cause):
    assert classify_status(status) is cause


def test_a_proxy_that_wants_other_credentials_is_not_transient():
    assert classify_proxy_status(407) is Cause.PROXY_LOGIN
    assert classify_proxy_status(403) is Cause.PROXY_REFUSED
    assert not Cause.PROXY_LOGIN.is_transient
    assert classify_proxy_status(503) is Cause.PROXY_FAILED
    assert not Cause.PROXY_REFUSED.is_transient
    assert Cause.PROXY_FAILED.is_transient


def test_whatever_concerns_a_certificate_is_retried_slowly():
    slow = {cause for cause in Cause if not cause.is_transient}

    assert {
        Cause.GATEWAY_UNTRUSTED,
        Cause.CERTIFICATE_EXPIRED,
        Cause.CERTIFICATE_REJECTED,
        Cause.CERTIFICATE_PROBABLY_REJECTED,
    } <= slow


def test_the_error_says_what_failed_and_what_to_do():
    error = DialError(Cause.UNREACHABLE, "wss://gateway:8443: Connection refused")

    assert str(error).startswith("wss://gateway:8443: Connection refused; check that the gateway runs")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (verification_error(), "certificate verification failed: self-signed certificate"),
        (ssl_error("WRONG_VERSION_NUMBER"), "TLS failed: wrong version number"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (EOFError(), "EOFError"),
    ],
)
def test_errors_are_described_in_one_clause(error, text):
    assert describe(error) == text
