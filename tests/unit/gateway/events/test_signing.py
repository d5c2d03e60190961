"""The headers of Standard Webhooks, judged by its reference library."""

import base64
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.events.signing import make_secret, signed

BODY = '{"text": "grüße"}'.encode()


def headers(*keys, body=BODY, now=None):
    made = signed("evt_1_2", now or datetime.now(UTC), body, keys)
    return {name.decode(): value.decode() for name, value in made}


def test_a_secret_is_32_random_bytes_that_do_not_show():
    one, other = make_secret(), make_secret()
    assert one != other
    assert str(one) == "**********"
    prefix, _, text = one.get_secret_value().partition("_")
    assert (prefix, len(base64.b64decode(text, validate=True))) == ("whsec", 32)


def test_the_reference_library_accepts_what_is_signed():
    key = make_secret()
    Webhook(key.get_secret_value()).verify(BODY, headers(key), json_parse=True)


def test_the_example_of_the_specification_has_the_signature_that_it_shows():
    key = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    now = datetime.fromtimestamp(1614265330, UTC)
    made = dict(signed("msg_p5jXN8AQM9LWM0D4loKWxJek", now, b'{"test": 2432232314}', [key]))
    assert made[b"webhook-signature"] == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert made[b"webhook-timestamp"] == b"1614265330"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", "evt_1_3"),
        ("webhook-timestamp", str(int(datetime.now(UTC).timestamp()) - 60)),
        ("webhook-signature", "v1," + base64.b64encode(bytes(32)).decode()),
    ],
    ids=["id", "timestamp", "signature"],  # the time is none that two collections share
)
def test_a_changed_header_is_refused(header, value):
    key = make_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(key.get_secret_value()).verify(BODY, headers(key) | {header: value})


def test_a_changed_body_and_another_key_are_refused():
    key = make_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(key.get_secret_value()).verify(BODY + b" ", headers(key))
    with pytest.raises(WebhookVerificationError):
        Webhook(make_secret().get_secret_value()).verify(BODY, headers(key))


def test_an_old_attempt_is_refused():
    key = make_secret()
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(key.get_secret_value()).verify(BODY, headers(key, now=datetime(2026, 1, 1, tzinfo=UTC)))


def test_both_secrets_verify_while_one_replaces_the_other():
    new, old = make_secret(), make_secret()
    made = headers(new, old)
    assert len(made["webhook-signature"].split(" ")) == 2
    for key in (new, old):
        Webhook(key.get_secret_value()).verify(BODY, made)
