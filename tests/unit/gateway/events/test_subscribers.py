"""One POST to a subscriber: what is sent, and what each outcome is called."""

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from gateway.egress import AddressForbidden, Dialer, Egress
from gateway.events import subscribers as module
from gateway.events.schedule import Attempt
from gateway.events.subscribers import Subscribers, printable
from gateway.settings import GatewaySettings
from http1.errors import ClientFailure, FailureKind, Progress
from http1.fetch import Fetched
from http1.sweep import Sweeper
from runtime.configuration import ConfigurationError
from tests.support.deliveries import settle_down

URL = "https://ci.example.com:8443/hook?token=s3cr3t"


class Names:
    def __init__(self, *addresses):
        self._addresses = [ip_address(text) for text in addresses]

    async def addresses(self, host):
        return self._addresses


def make(tmp_path, networks=(), names=None, **settings):
    made = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0", allow_networks=networks, **settings)
    return Subscribers(
        made, Dialer(Egress({}), networks, names or Names("93.184.216.34")), Sweeper(), "jira-gateway/1.2"
    )


@pytest.fixture
def fetched(monkeypatch):
    """What `fetch` was called with, and what it does."""
    calls = []

    async def fetch(pool, head, max_bytes, body):
        calls.append((pool.origin, head, max_bytes, body))
        await fetch.gate.wait()
        if isinstance(fetch.outcome, Exception):
            raise fetch.outcome
        if fetch.outcome is None:
            await asyncio.Event().wait()
        return fetch.outcome

    fetch.outcome, fetch.calls, fetch.gate = Fetched(204, [], b""), calls, asyncio.Event()
    fetch.gate.set()
    monkeypatch.setattr(module, "fetch", fetch)
    return fetch


async def test_what_is_sent(tmp_path, fetched):
    assert await make(tmp_path).send(URL, [(b"webhook-id", b"evt_1")], b"{}") == Attempt(204, None)
    [(origin, head, max_bytes, body)] = fetched.calls
    assert (origin.host, origin.port, origin.server_hostname) == ("ci.example.com", 8443, "ci.example.com")
    assert origin.host_header == b"ci.example.com:8443"
    assert (head.method, head.target, head.body) == (b"POST", b"/hook?token=s3cr3t", 2)
    assert head.headers == [
        (b"User-Agent", b"jira-gateway/1.2"), (b"Content-Type", b"application/json"), (b"webhook-id", b"evt_1"),
    ]  # fmt: skip
    assert (max_bytes, body) == (64 * 1024, b"{}")
    assert origin.tls is not None
    assert origin.tls.check_hostname


@pytest.mark.parametrize(
    ("outcome", "attempt"),
    [
        (Fetched(200, [], b"x"), Attempt(200, None)),
        (Fetched(299, [(b"Retry-After", b"5")], b""), Attempt(299, None)),
        (Fetched(301, [(b"Location", b"/x")], b""), Attempt(301, "It answered 301, and redirects are not followed.")),
        (Fetched(429, [(b"RETRY-after", b"7")], b""), Attempt(429, "It answered 429 Too Many Requests.", "7")),
        (Fetched(410, [], b""), Attempt(410, "It answered 410 Gone.")),
        (Fetched(599, [], b""), Attempt(599, "It answered 599.")),
        (ClientFailure(FailureKind.TLS, Progress.NOT_SENT, "No\nTLS"), Attempt(None, "No TLS")),
    ],
)
async def test_only_a_whole_2xx_is_a_success(tmp_path, fetched, outcome, attempt):
    fetched.outcome = outcome
    assert await make(tmp_path).send(URL, [], b"{}") == attempt


async def test_there_is_one_deadline_for_all(tmp_path, fetched, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPT_SECONDS", 0.0)
    fetched.outcome = None
    attempt = await make(tmp_path).send(URL, [], b"{}")
    assert attempt == Attempt(None, "ci.example.com:8443 gave no whole answer within 0 s.")


async def test_an_address_that_cannot_be_read_is_a_failure_that_does_not_show_it(tmp_path, fetched):
    attempt = await make(tmp_path).send(URL + "#part", [], b"{}")
    assert attempt.status is None
    assert "its address holds" in attempt.error
    assert "s3cr3t" not in attempt.error
    assert not fetched.calls


async def test_a_server_has_one_pool_until_no_address_needs_it(tmp_path, fetched):
    made = make(tmp_path)
    for path in ("a", "b"):
        await made.send(f"https://ci.example.com/{path}", [], b"{}")
    await made.send("https://other.example/", [], b"{}")
    assert made.servers == 2
    made.keep(["https://ci.example.com/c", "no address"])
    assert made.servers == 1
    assert fetched.calls[0][0] is fetched.calls[1][0]


@pytest.mark.parametrize(
    ("url", "addresses", "networks", "reason"),
    [
        ("https://ci.example.com/", ["93.184.216.34"], [], None),
        ("https://ci.example.com/", ["10.0.0.1"], [], "not public"),
        ("https://ci.example.com/", ["10.0.0.1"], ["10.0.0.0/8"], None),
        ("http://ci.example.com/", ["10.0.0.1"], ["10.0.0.0/8"], None),
        ("http://ci.example.com/", ["93.184.216.34"], [], "outside of JIRA_GATEWAY_ALLOW_NETWORKS"),
        ("http://ci.example.com/", ["10.0.0.1", "93.184.216.34"], ["10.0.0.0/8"], "outside of"),
        ("http://ci.example.com/", ["::ffff:a00:1"], ["10.0.0.0/8"], None),
        ("http://ci.example.com/", [], ["10.0.0.0/8"], "none at all"),
    ],
)
async def test_every_address_is_judged_when_it_is_dialled(tmp_path, fetched, url, addresses, networks, reason):
    made = make(tmp_path, tuple(map(ip_network, networks)), Names(*addresses))
    await made.send(url, [], b"{}")
    resolve = fetched.calls[0][0].resolve
    if reason is None:
        assert [str(ip_address(row.address)) for row in await resolve("ci.example.com", 80)] == addresses
    else:
        with pytest.raises(AddressForbidden, match=reason):
            await resolve("ci.example.com", 80)


async def test_a_pool_ends_when_it_is_retired_and_nothing_is_under_way(tmp_path, fetched, monkeypatch):
    monkeypatch.setattr(module, "RETIRE_POLL_SECONDS", 0)
    made = make(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        await settle_down()
        before = len(asyncio.all_tasks())
        fetched.gate.clear()
        sending = tasks.create_task(made.send(URL, [], b"{}"))
        await settle_down()
        with_pool = len(asyncio.all_tasks()) - 1
        assert with_pool > before
        made.keep([])
        await settle_down()
        assert len(asyncio.all_tasks()) == with_pool + 1
        fetched.gate.set()
        assert (await sending).is_success
        await settle_down()
        assert len(asyncio.all_tasks()) == before
        running.cancel()


async def test_our_own_stop_is_no_outcome_of_an_attempt(tmp_path, fetched):
    made = make(tmp_path)
    fetched.outcome = ClientFailure(FailureKind.CLOSED, Progress.SENT, "The connection pool is shutting down.")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        await settle_down()
        assert (await made.send(URL, [], b"{}")).error
        fetched.gate.clear()
        under_way = tasks.create_task(made.send(URL, [], b"{}"))
        await settle_down()
        running.cancel()
        await settle_down()
        fetched.gate.set()
        late = tasks.create_task(made.send(URL, [], b"{}"))
        await settle_down()
        for sending in (under_way, late):
            assert not sending.done()
            sending.cancel()
    assert len(fetched.calls) == 2


def test_cas_that_cannot_be_read_are_told_at_the_start(tmp_path):
    with pytest.raises(ConfigurationError, match="JIRA_GATEWAY_CA_FILE"):
        make(tmp_path, ca_file=tmp_path / "missing.pem")


def test_a_reason_is_one_short_line():
    assert printable("a\r\n\x1b[31mb" + "x" * 500) == ("a   [31mb" + "x" * 500)[:300]
