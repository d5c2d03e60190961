"""The deny-list: what it denies, and how it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.certificates import AgentCertificate
from certs.errors import CertificateRejected, NameRejected
from certs.identity import AgentIdentity
from certs.revocation import Denial, DenyList

A1, A2, B1 = AgentIdentity("a", "1"), AgentIdentity("a", "2"), AgentIdentity("b", "1")
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)


def test_an_empty_list_denies_nobody():
    assert DenyList().denial(A1, 1) is None


def test_a_serial_an_instance_and_an_agent_are_denied_and_nobody_else():
    assert DenyList().with_serial(7).denial(A1, 7) is Denial.SERIAL
    assert DenyList().with_serial(7).denial(A1, 8) is None
    by_instance = DenyList().with_instance(A1)
    assert [by_instance.denial(each, 1) for each in (A1, A2, B1)] == [Denial.INSTANCE, None, None]
    by_agent = DenyList().with_agent("a")
    assert [by_agent.denial(each, 1) for each in (A1, A2, B1)] == [Denial.AGENT, Denial.AGENT, None]


def test_a_certificate_is_checked_as_a_whole(now):
    certificate = AgentCertificate(A1, 7, now, now)
    assert DenyList().with_serial(7).denies(certificate)
    assert not DenyList().with_serial(8).denies(certificate)


def test_changes_add_up_and_leave_the_old_list_alone():
    old = DenyList().with_serial(7)
    new = old.with_agent("a").with_instance(B1)
    assert (old.agents, old.instances) == (frozenset(), frozenset())
    assert (new.serials, new.agents, new.instances) == ({7}, {"a"}, {B1})


def test_a_name_outside_the_grammar_cannot_be_denied_by_mistake():
    with pytest.raises(NameRejected):
        DenyList().with_agent("a/1")


@given(
    st.frozensets(st.integers(1, 1 << 159)),
    st.frozensets(NAMES),
    st.frozensets(st.builds(AgentIdentity, NAMES, NAMES)),
)
def test_a_list_survives_being_written_and_read(serials, agents, instances):
    denied = DenyList(serials, agents, instances)
    assert DenyList.from_json(denied.to_json()) == denied


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"\xff",
        b'{"version":2,"serials":[],"agents":[],"instances":[]}',
        b'{"version":1,"serials":[],"agents":[]}',
        b'{"version":1,"serials":[],"agents":[],"instances":[],"more":[]}',
        b'{"version":1,"serials":[7],"agents":[],"instances":[]}',
        b'{"version":1,"serials":["x"],"agents":[],"instances":[]}',
        b'{"version":1,"serials":null,"agents":[],"instances":[]}',
        b'{"version":1,"serials":[],"agents":["A"],"instances":[]}',
        b'{"version":1,"serials":[],"agents":[],"instances":["a"]}',
        b'{"version":1,"serials":[],"agents":[],"instances":["a/b/c"]}',
        b'{"version":1,"serials":[],"agents":[],"instances":[1]}',
    ],
)
def test_a_damaged_list_is_never_read_in_part(content):
    with pytest.raises(CertificateRejected):
        DenyList.from_json(content)
