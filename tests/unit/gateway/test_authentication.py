"""Which token a request presents, and what of its headers goes on."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authentication import AmbiguousLogin, sort_headers

TOKEN = b"jtg_secret-of-a-test"
VALUES = st.binary(max_size=60)


def basic(user, password):
    return b"Basic " + b64encode(user + b":" + password)


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer " + TOKEN,
        b"bearer " + TOKEN,
        b"BEARER  " + TOKEN + b" ",
        basic(b"user", TOKEN),
        basic(b"", TOKEN),
        b"basic   " + b64encode(b"u:" + TOKEN),
    ],
)
def test_the_token_comes_as_bearer_or_as_basic_password(value):
    assert sort_headers([(b"Authorization", value)]).presented_token == TOKEN
    assert sort_headers([(b"tunnel-authorization", value)]).presented_token == TOKEN


@pytest.mark.parametrize(
    "value", [b"", b"Bearer", TOKEN, b"Digest " + TOKEN, b"Basic", b"Basic !!", b"Basic " + b64encode(TOKEN), b" "]
)
def test_anything_else_is_no_token(value):
    assert sort_headers([(b"Authorization", value)]).presented_token == b""


def test_a_password_may_hold_colons():
    assert sort_headers([(b"Authorization", basic(b"u", b"a:b:c"))]).presented_token == b"a:b:c"


def test_no_header_is_no_token():
    assert sort_headers([]).presented_token == b""


def test_tunnel_authorization_goes_first_even_when_it_is_empty():
    headers = [(b"Authorization", b"Bearer a"), (b"Tunnel-Authorization", b"Bearer b")]
    assert sort_headers(headers).presented_token == b"b"
    assert sort_headers([(b"Authorization", b"Bearer a"), (b"Tunnel-Authorization", b"")]).presented_token == b""


@pytest.mark.parametrize("name", [b"Authorization", b"Tunnel-Authorization", b"Tunnel-Timeout", b"Tunnel-Anything"])
def test_a_repeated_header_of_ours_is_ambiguous(name):
    with pytest.raises(AmbiguousLogin) as ambiguous:
        sort_headers([(name, b"a"), (name.upper(), b"a")])
    assert ambiguous.value.name == name.upper().decode()


def test_what_is_not_ours_passes_in_order_and_with_repeats():
    passed = [(b"Accept", b"a"), (b"accept", b"b"), (b"X-Thing", b"c")]
    headers = [passed[0], (b"TUNNEL-Timeout", b"3"), passed[1], (b"x-request-id", b"r"), passed[2]]
    found = sort_headers([*headers, (b"Authorization", b"Bearer t")])

    assert found.passed == passed
    assert found.values == {b"tunnel-timeout": b"3", b"authorization": b"Bearer t"}


@pytest.mark.parametrize(
    "value", [b"Bearer " + TOKEN, basic(b"u", TOKEN), basic(TOKEN, b"x"), b"Weird x" + TOKEN, TOKEN]
)
def test_a_gateway_token_is_found_wherever_it_hides(value):
    assert sort_headers([(b"Authorization", value)]).authorization_holds_token


@pytest.mark.parametrize("value", [b"Bearer pat-1", basic(b"u", b"p"), b"", b"Basic ???"])
def test_a_login_for_jira_holds_no_gateway_token(value):
    assert not sort_headers([(b"Authorization", value)]).authorization_holds_token


def test_without_authorization_there_is_no_token_in_it():
    assert not sort_headers([(b"Tunnel-Authorization", b"Bearer " + TOKEN)]).authorization_holds_token


@given(
    st.lists(
        st.tuples(st.sampled_from([b"Authorization", b"Tunnel-Authorization", b"Cookie", b"X"]), VALUES), max_size=6
    )
)
def test_no_header_raises_anything_but_ambiguity(headers):
    try:
        found = sort_headers(headers)
    except AmbiguousLogin:
        return
    assert isinstance(found.presented_token, bytes)
    assert isinstance(found.authorization_holds_token, bool)
    assert not {name.lower() for name, _ in found.passed} & {b"authorization", b"tunnel-authorization"}


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_token_inside_any_basic_login_is_found(user, password):
    assert sort_headers([(b"Authorization", basic(user + b"jtg_", password))]).authorization_holds_token
    assert sort_headers([(b"Authorization", basic(user, password + b"jtg_"))]).authorization_holds_token
