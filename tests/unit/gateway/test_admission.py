"""Everything that is decided before a stream is opened, in the order that the contract asks for."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from gateway.admission import Entrance, Refused, admit
from gateway.directory import Directory, secret_place
from gateway.rates import Rates
from gateway.sealing import SecretKey
from gateway.store import Connection, Credentials, Scope, Snapshot, Token
from gateway.tokens import hash_token
from http1.messages import NO_BODY, RequestHead

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = SecretKey(SecretStr("k" * 40))
SEALED = KEY.seal(SecretBytes(b"s3cret"), secret_place("stored"))
CONNECTIONS = (
    Connection("hq", "hq", Credentials.AGENT, timeout_seconds=60.0),
    Connection("stored", "hq", Credentials.GATEWAY, username="bot", sealed_secret=SEALED),
    Connection("own", "hq", Credentials.CALLER),
    Connection("broken", "hq", Credentials.GATEWAY, sealed_secret=b"x"),
)
ALL = frozenset({"hq", "stored", "own", "broken", "gone"})


def token(secret, **fields):
    return Token(secret, hash_token(f"jtg_{secret}".encode()), NOW, **{"connections": ALL, **fields})


TOKENS = (
    token("any"),
    token("hq", connections=frozenset({"hq"})),
    token("ro", read_only=True),
    token("old", expires_at=NOW),
    token("revoked", revoked_at=NOW),
    token("events", scopes=frozenset({Scope.EVENTS})),
    token("rated", rate=1.0),
)


@pytest.fixture
def entrance():
    return make_entrance()


def make_entrance():
    return Entrance(
        Directory(Snapshot(1, (), (), CONNECTIONS, TOKENS), KEY), Rates(), b"gw.example", lambda _: b"/jira"
    )


def request(target=b"/jira/hq/rest/api/2/myself", *headers, login="Bearer jtg_any", method=b"GET", host=b"gw:1"):
    fields = [(b"Authorization", login.encode())] if login is not None else []
    return RequestHead(method, target, [*fields, *headers], NO_BODY, host=host)


def refusal(entrance, head, monotonic=0.0):
    with pytest.raises(Refused) as refused:
        admit(head, entrance, NOW, monotonic)
    return refused.value.problem.slug.name


def test_a_good_request_is_admitted_with_everything_that_is_needed(entrance):
    admission = admit(request(b"/jira/hq/rest/x?a=%20", (b"Accept", b"a")), entrance, NOW, 0.0)

    assert (admission.route.name, admission.grant.name, admission.by_host) == ("hq", "any", False)
    assert admission.target.raw == b"/rest/x?a=%20"
    assert admission.headers == [(b"Accept", b"a")]
    assert admission.timeout == 60.0


@pytest.mark.parametrize("login", [None, "", "Bearer jtg_wrong", "Bearer jtg_old", "Bearer jtg_revoked", "Basic eA=="])
@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/", b"x"),
        (b"/jira/hq/x", b"x"),
        (b"/jira/gone/x", b"x"),
        (b"/jira/hq/..;/x", b"x"),
        (b"/x", b"hq.gw.example"),
    ],
)
def test_authentication_comes_before_everything_that_could_tell_something(entrance, login, target, host):
    assert refusal(entrance, request(target, (b"Tunnel-Timeout", b"x"), login=login, host=host)) == "unauthenticated"


def test_a_token_is_expired_from_its_moment_on(entrance):
    head = request(login="Bearer jtg_old")
    assert admit(head, entrance, NOW - timedelta(milliseconds=1), 0.0).grant.name == "old"
    assert refusal(entrance, head) == "unauthenticated"


def test_an_ambiguous_login_is_refused(entrance):
    assert refusal(entrance, request(b"/x", (b"authorization", b"Bearer jtg_any"))) == "bad_request"


@pytest.mark.parametrize(
    ("target", "login", "slug"),
    [
        (b"/elsewhere", "any", "not_found"),
        (b"/jira/other/x", "any", "forbidden"),
        (b"/jira/gone/x", "hq", "forbidden"),
        (b"/jira/gone/x", "any", "connection_unknown"),
        (b"/jira/broken/x", "any", "connection_unknown"),
        (b"/jira/hq/x", "events", "forbidden"),
        (b"/jira/hq/a//b", "any", "bad_request"),
        (b"/jira/hq/a/%2e%2e/b", "any", "bad_request"),
        (b"/jira/hq/rest/pat/latest/tokens", "ro", "forbidden"),
    ],
)
def test_what_is_refused_and_how(entrance, target, login, slug):
    assert refusal(entrance, request(target, login=f"Bearer jtg_{login}")) == slug


def test_the_caller_is_known_as_soon_as_the_token_is(entrance):
    with pytest.raises(Refused) as refused:
        admit(request(b"/nowhere"), entrance, NOW, 0.0)
    assert refused.value.caller == "any"


@pytest.mark.parametrize(
    ("method", "path", "admitted"),
    [
        (b"GET", b"/rest/api/2/issue/A-1", True),
        (b"HEAD", b"/rest/api/2/issue/A-1", True),
        (b"POST", b"/rest/api/2/search", True),
        (b"POST", b"/rest/api/2/issue", False),
        (b"DELETE", b"/rest/api/2/issue/A-1", False),
        (b"GET", b"/rest/plugins/1.0/", False),
    ],
)
def test_a_read_only_token_only_reads(entrance, method, path, admitted):
    head = request(b"/jira/hq" + path, login="Bearer jtg_ro", method=method)
    if admitted:
        assert admit(head, entrance, NOW, 0.0).grant.read_only
    else:
        assert refusal(entrance, head) == "forbidden"


def test_the_rate_is_the_tokens_and_says_when_to_come_back(entrance):
    head = request(login="Bearer jtg_rated")
    admit(head, entrance, NOW, 0.0)
    with pytest.raises(Refused) as refused:
        admit(head, entrance, NOW, 0.1)
    assert (refused.value.problem.slug.name, refused.value.problem.retry_after) == ("rate_limited", 1)
    admit(request(), entrance, NOW, 0.1)
    admit(head, entrance, NOW, 1.1)


def test_a_request_that_is_forbidden_does_not_cost_rate(entrance):
    for _ in range(5):
        refusal(entrance, request(b"/jira/other/x", login="Bearer jtg_rated"))
    assert admit(request(login="Bearer jtg_rated"), entrance, NOW, 0.0)


@pytest.mark.parametrize("path", [b"/jira/rest/x", b"/rest/x"])
def test_by_host_name_the_context_path_is_optional(entrance, path):
    admission = admit(request(path, host=b"HQ.gw.example:8443"), entrance, NOW, 0.0)
    assert (admission.route.name, admission.target.raw, admission.by_host) == ("hq", b"/rest/x", True)


def test_by_path_nothing_is_taken_off(entrance):
    assert admit(request(b"/jira/hq/jira/rest/x"), entrance, NOW, 0.0).target.raw == b"/jira/rest/x"


def test_without_a_domain_host_names_mean_nothing(entrance):
    entrance.domain = b""
    assert refusal(entrance, request(b"/rest/x", host=b"hq.gw.example")) == "not_found"
    assert refusal(entrance, request(b"/rest/x", host=b"hq.")) == "not_found"


def test_the_agents_credentials_leave_no_room_for_the_callers(entrance):
    tunnel = (b"Tunnel-Authorization", b"Bearer jtg_any")
    admission = admit(request(b"/jira/hq/x", tunnel, login="Basic YTpi"), entrance, NOW, 0.0)
    assert admission.headers == []


def test_stored_credentials_are_put_in(entrance):
    admission = admit(request(b"/jira/stored/x"), entrance, NOW, 0.0)
    assert admission.headers == [(b"Authorization", b"Basic " + b64encode(b"bot:s3cret"))]


def test_the_callers_own_login_goes_on_untouched(entrance):
    tunnel = (b"Tunnel-Authorization", b"Bearer jtg_any")
    admission = admit(request(b"/jira/own/x", tunnel, (b"Cookie", b"c"), login="Basic YTpi"), entrance, NOW, 0.0)
    assert sorted(admission.headers) == [(b"Authorization", b"Basic YTpi"), (b"Cookie", b"c")]


def test_a_caller_may_come_without_a_login_for_jira(entrance):
    head = request(b"/jira/own/x", (b"Tunnel-Authorization", b"Bearer jtg_any"), login=None)
    assert admit(head, entrance, NOW, 0.0).headers == []


@pytest.mark.parametrize("login", ["Bearer jtg_any", "Basic " + b64encode(b"u:jtg_any").decode(), "X ajtg_b"])
def test_a_gateway_token_is_never_jiras_login(entrance, login):
    head = request(b"/jira/own/x", (b"Tunnel-Authorization", b"Bearer jtg_any"), login=login)
    assert refusal(entrance, head) == "bad_request"


@pytest.mark.parametrize(
    ("target", "login"), [(b"/jira/own/x", 'OAuth realm=""'), (b"/jira/own/x?oauth_signature=a", "Basic YTpi")]
)
def test_oauth_1_is_refused(entrance, target, login):
    assert (
        refusal(entrance, request(target, (b"Tunnel-Authorization", b"Bearer jtg_any"), login=login)) == "bad_request"
    )


@pytest.mark.parametrize(
    ("wanted", "seconds"), [(b"5", 5.0), (b"0.25", 0.25), (b"60", 60.0), (b"3600", 60.0), (b"1e1", 10.0)]
)
def test_a_caller_may_shorten_the_timeout_and_not_lengthen_it(entrance, wanted, seconds):
    assert admit(request(b"/jira/hq/x", (b"Tunnel-Timeout", wanted)), entrance, NOW, 0.0).timeout == seconds


@pytest.mark.parametrize("wanted", [b"", b"0", b"-1", b"nan", b"inf", b"-inf", b"5s", b"1,5", b"\xff", b"86401"])
def test_any_other_timeout_is_refused(entrance, wanted):
    assert refusal(entrance, request(b"/jira/hq/x", (b"Tunnel-Timeout", wanted))) == "bad_request"


@given(
    st.binary(max_size=40),
    st.lists(st.tuples(st.sampled_from([b"Authorization", b"Tunnel-Authorization", b"Tunnel-Timeout"]), st.binary(max_size=30)), max_size=3),
    st.sampled_from([b"", b"hq.gw.example", b"\xff.gw.example"]),
)  # fmt: skip
def test_no_request_raises_anything_but_a_refusal(tail, headers, host):
    head = RequestHead(b"GET", b"/jira/hq/" + tail, [(b"Tunnel-Authorization", b"Bearer jtg_any"), *headers], NO_BODY)
    head.host = host
    try:
        admission = admit(head, make_entrance(), NOW, 0.0)
    except Refused:
        return
    assert b"jtg_" not in b"".join(value for _, value in admission.headers)
