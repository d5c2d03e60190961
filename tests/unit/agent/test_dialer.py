"""What the dialer makes of a gateway that does not answer."""

import asyncio

import pytest

from agent import dialer
from agent.addresses import GatewayAddress
from agent.dialer import CUTS_UNTIL_SUSPICION, Dialer, ProxyRoute
from agent.errors import Cause, DialError
from agent.identity import read_identity, store_identity
from certs.keys import make_key
from tests.support.agent_identity import issue_agent

GATEWAY = GatewayAddress("gateway.example", 8443)


async def never(*args, **options):
    del args, options
    await asyncio.Event().wait()


async def test_silence_is_an_outage_and_never_read_as_a_rejected_certificate(tmp_path, monkeypatch):
    """A firewall that drops, or a gateway that hangs: the agent has to be back within seconds of its end."""
    monkeypatch.setattr(dialer, "DIAL_SECONDS", 0.01)
    monkeypatch.setattr(dialer, "connect", never)
    key = make_key()
    store_identity(tmp_path / "state", key, *issue_agent(key, "site-a", "i1"), GATEWAY)
    identity = read_identity(tmp_path / "state")
    one = Dialer(ProxyRoute(lambda gateway: None), "test")

    for _ in range(CUTS_UNTIL_SUSPICION + 1):
        with pytest.raises(DialError) as failure:
            await one.dial(GATEWAY, identity)
        assert failure.value.cause is Cause.UNREACHABLE
        assert failure.value.reason == f"{GATEWAY}: no answer in time"
