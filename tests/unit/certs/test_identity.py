"""How an agent's identity is written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.errors import CertificateRejected, NameRejected
from certs.identity import AgentIdentity, check_name, new_instance_id

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@given(NAMES, NAMES)
def test_an_identity_survives_being_written_and_read(name, instance):
    identity = AgentIdentity(name, instance)
    assert identity.uri == f"spiffe://jira-tunnel/agent/{name}/{instance}"
    assert AgentIdentity.from_uri(identity.uri) == identity


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "a/b", "a b", "ä", "a" * 64, "a\n", "1٣", "a\x00"])
def test_names_outside_the_grammar_are_refused(name):
    with pytest.raises(NameRejected):
        check_name(name)
    with pytest.raises(NameRejected):
        AgentIdentity(name, "i")
    with pytest.raises(NameRejected):
        AgentIdentity("n", name)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://jira-tunnel/agent/",
        "spiffe://jira-tunnel/agent/hq",
        "spiffe://jira-tunnel/agent/hq/",
        "spiffe://jira-tunnel/agent//i",
        "spiffe://jira-tunnel/agent/hq/i/x",
        "spiffe://jira-tunnel/agent/hq/i?x",
        "spiffe://jira-tunnel/agent/hq/%69",
        "spiffe://jira-tunnel/agent/HQ/i",
        "SPIFFE://jira-tunnel/agent/hq/i",
        "spiffe://jira-tunnel.evil/agent/hq/i",
        "spiffe://jira-tunnel/agent/hq/i\n",
        "hq/i",
    ],
)
def test_any_other_spelling_of_a_uri_is_refused(uri):
    with pytest.raises(CertificateRejected):
        AgentIdentity.from_uri(uri)


def test_new_instance_ids_are_names_and_differ():
    ids = {new_instance_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(check_name(each) for each in ids)
