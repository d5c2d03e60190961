"""Which connection a request means, by path or by host name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.addressing import Addressed, by_host, by_path, without_context

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
RESTS = st.binary(max_size=40).map(lambda tail: b"/" + tail)


@pytest.mark.parametrize(
    ("target", "connection", "rest"),
    [
        (b"/jira/hq/rest/api/2/myself", "hq", b"/rest/api/2/myself"),
        (b"/jira/hq/rest?a=b/c", "hq", b"/rest?a=b/c"),
        (b"/jira/hq", "hq", b"/"),
        (b"/jira/hq/", "hq", b"/"),
        (b"/jira/hq?a=b", "hq", b"/?a=b"),
        (b"/jira/hq?a=/b", "hq?a=", b"/b"),  # no connection has such a name: refused like every unknown one
        (b"/jira/hq//x", "hq", b"//x"),  # the canonicaliser refuses it
        (b"/jira/jira/x", "jira", b"/x"),
        (b"/jira/\xff/x", "\xff", b"/x"),
    ],
)
def test_a_path_names_its_connection_first(target, connection, rest):
    assert by_path(target) == Addressed(connection, rest, by_host=False)


@pytest.mark.parametrize(
    "target", [b"/", b"/jira", b"/jira/", b"/jira//x", b"/jira/?x", b"/JIRA/hq/x", b"*", b"/jirax/hq/"]
)
def test_other_paths_are_no_address(target):
    assert by_path(target) is None


@given(NAMES, RESTS)
def test_what_follows_the_connection_is_never_touched(name, rest):
    assert by_path(b"/jira/" + name.encode() + rest) == Addressed(name, rest, by_host=False)


@pytest.mark.parametrize("host", [b"hq.gw.example", b"HQ.GW.EXAMPLE", b"hq.gw.example:443", b"hq.gw.example:"])
def test_a_host_name_below_the_domain_names_its_connection(host):
    assert by_host(host, b"gw.example", b"/x?y") == Addressed("hq", b"/x?y", by_host=True)


@pytest.mark.parametrize(
    "host",
    [b"", b"gw.example", b".gw.example", b"a.b.gw.example", b"hq.gw.example.evil", b"hq.gw.example.", b"hqgw.example",
     b"hq", b"127.0.0.1", b"[::1]:80", b"hq.gw.example@x", b"hq.xgw.example"],
)  # fmt: skip
def test_any_other_host_is_no_address(host):
    assert by_host(host, b"gw.example", b"/") is None


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_no_host_header_raises(host, target):
    found = by_host(host, b"gw.example", target)
    assert found is None or (found.by_host and found.target == target)


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        (b"/jira/rest/x", b"/rest/x"),
        (b"/jira", b"/"),
        (b"/jira/", b"/"),
        (b"/jira?a=b", b"/?a=b"),
        (b"/jirax/rest", b"/jirax/rest"),
        (b"/rest/x", b"/rest/x"),
        (b"/jira/jira/x", b"/jira/x"),
        (b"/jira;x/rest", b"/jira;x/rest"),
    ],
)
def test_the_context_path_is_taken_off_once_and_only_as_a_whole_segment(target, rest):
    assert without_context(target, b"/jira") == rest


@given(RESTS)
def test_without_a_context_path_nothing_is_taken_off(target):
    assert without_context(target, b"") == target


@given(st.binary(max_size=30))
def test_a_path_below_the_context_comes_out_as_it_was(tail):
    assert without_context(b"/jira/" + tail, b"/jira") == b"/" + tail
