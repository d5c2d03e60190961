"""An agent behind a firewall that lets nothing in, and everything that can happen to the way between it and the gateway.

After each fault service is back by itself within 15 s of its end, and nothing was sent to Jira twice.
"""

import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

import pytest

from tests.e2e.conftest import SERVICE
from tests.lab.namespaces import LabUnavailable, inside
from tests.lab.networks import COMPANY, COMPANY6, GATEWAY, GATEWAY6, LAN, OTHER, TUNNEL_PORT, three_networks
from tests.lab.squid import PASSWORD, USER, SquidUnavailable, running_squid
from tests.lab.traffic import Traffic
from tests.support.callers import ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, page, wait_until

pytestmark = pytest.mark.timeout(240)

BACK_SECONDS = 15.0
KNOWN_SECONDS = 16.0
"""How long a link may be dead before it is known (docs/protocol.md §8)."""


@pytest.fixture(scope="module")
def net():
    with ExitStack() as stack:
        try:
            networks = stack.enter_context(three_networks())
        except LabUnavailable as reason:
            pytest.skip(f"no lab here: {reason}")
        yield networks


class Site:
    """A gateway in the cloud, an agent and a Jira in the company."""

    def __init__(self, net, folder, stack, *, address=GATEWAY, settings=None):
        self.net = net
        host = f"[{address}]" if ":" in address else address
        with inside(net.company):
            self.jira = stack.enter_context(JiraProcess("9.12", context="/jira"))
        own = {
            "JIRA_GATEWAY_TUNNEL_LISTEN": f"{host}:{TUNNEL_PORT}",
            "JIRA_GATEWAY_TUNNEL_URL": f"wss://{host}:{TUNNEL_PORT}",
        }
        self.stack = stack.enter_context(Stack(folder, self.jira.url, settings=own))
        with inside(net.cloud):
            self.stack.start_gateway()
            code = self.stack.must("agents", "invite", "hq")
        self.agent = self.stack.agent("hq", **SERVICE, **(settings or {}))
        with inside(net.company):
            done = self.agent.command("enroll", "-", stdin=code)
            assert done.returncode == 0, done.stderr
            self.agent.start_and_wait()
        with inside(net.cloud):
            self.token = self.stack.connect("hq")
        self.url = f"{self.stack.url}/jira/hq"

    def ask(self):
        with inside(self.net.cloud):
            return ask(self.url, "GET", "/rest/api/2/myself", None, [bearer(self.token)])

    @contextmanager
    def traffic(self):
        """Callers in the cloud, until the end of the block; what is known of their requests is checked then."""
        traffic = Traffic(self.url, self.token)
        with inside(self.net.cloud):
            traffic.start()
        try:
            yield traffic
        finally:
            traffic.stop()
        with inside(self.net.company):
            traffic.check_against(self.jira)


@pytest.fixture(scope="module")
def company(net, tmp_path_factory):
    with ExitStack() as stack:
        yield Site(net, tmp_path_factory.mktemp("site"), stack)


@pytest.fixture
def site(net, company):
    """The installation that the tests share; each leaves a network without faults."""
    net.forget_idle_flows(600)
    with inside(net.company):
        company.jira.call("clear")
        wait_until(lambda: page(company.agent.admin_port, "/readyz")[0] == 200, "the agent has a link")
    return company


def test_the_agent_works_and_nobody_gets_in(net, site):
    dropped = net.dropped("from_cloud")
    assert site.ask().status == 200
    with inside(net.company):
        listeners = [port for port in (site.jira.port, site.agent.admin_port) if listens(port)]
    assert listeners, "there is nothing to be reached"
    for host, port in [(COMPANY, site.jira.port), (COMPANY, site.agent.admin_port), (COMPANY, 22)]:
        with inside(net.cloud), pytest.raises(TimeoutError), socket.create_connection((host, port), timeout=1.5):
            pass
    assert net.dropped("from_cloud") > dropped
    assert net.dropped("from_company") == 0, "the agent dialled something else than the gateway"


def listens(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def tell(line):
    """Show a figure (`pytest -rP`)."""
    sys.stdout.write(line + "\n")


def watch(site, fault, seconds):
    """Let a fault last, and return (the traffic, when it began, when it ended, how long after that service was back)."""
    with site.traffic() as traffic:
        time.sleep(3)
        assert not traffic.failed(), "requests fail without any fault"
        began = time.monotonic()
        with fault:
            time.sleep(seconds)
        ended = time.monotonic()
        back = traffic.back_after(ended)
        time.sleep(3)
    tail = traffic.failed(since=ended + max(back, BACK_SECONDS))
    assert not tail, f"requests fail after service was back: {tail[:3]}"
    tell(f"back {back:.1f} s after the end; {len(traffic.failed())} of {len(traffic.outcomes)} requests failed")
    return traffic, began, ended, back


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("link_down", 30), ("black_hole", 20), ("one_way", 20), ("resets", 5)],
)
def test_service_is_back_soon_after_the_fault_and_no_write_went_twice(site, fault, seconds):
    traffic, began, _, back = watch(site, getattr(site.net, fault)(), seconds)
    assert back <= BACK_SECONDS
    assert traffic.failed(), "the fault had no effect"
    waited = max(each.ended - each.began for each in traffic.outcomes)
    assert waited <= KNOWN_SECONDS + 4, f"a caller waited {waited:.1f} s"
    late = traffic.failed(since=began + KNOWN_SECONDS + 2)
    assert all(each.ended - each.began < 2 for each in late if fault != "resets"), "a dead link was used"


def test_a_link_down_for_a_moment_is_nothing_to_callers(site):
    traffic, *_, back = watch(site, site.net.link_down(), 2)
    assert back <= BACK_SECONDS
    assert all(each.error in {"tunnel_lost", "agent_offline"} for each in traffic.failed())


def test_five_percent_loss_slows_and_breaks_nothing(site):
    traffic, began, ended, _ = watch(site, site.net.loss(5), 20)
    during = [each for each in traffic.outcomes if began <= each.began < ended]
    assert len(during) > 50
    assert not traffic.failed(), f"failed: {traffic.failed()[:3]}"


def test_a_firewall_that_forgets_idle_flows_does_not_forget_ours(site):
    site.net.forget_idle_flows(8)
    opened = len(site.agent.output().split('"link_up"'))
    time.sleep(25)
    assert site.ask().status == 200
    assert len(site.agent.output().split('"link_up"')) == opened, "a link was lost while nobody asked"


def test_a_firewall_that_forgets_everything_at_once_costs_one_deadline(site):
    with site.traffic() as traffic:
        time.sleep(2)
        began = time.monotonic()
        site.net.forget_flows()
        time.sleep(1)
        back = traffic.back_after(began + 1, KNOWN_SECONDS + BACK_SECONDS)
        time.sleep(3)
    tell(f"back {back + 1:.1f} s after the flows were forgotten")
    assert back <= KNOWN_SECONDS + 4


def test_the_sockets_are_killed_under_the_agent(site):
    with site.traffic() as traffic:
        time.sleep(2)
        began = time.monotonic()
        command = ["ip", "netns", "exec", site.net.company, "ss", "-K", "dst", GATEWAY, "dport", "=", str(TUNNEL_PORT)]
        assert subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
        back = traffic.back_after(began)
        time.sleep(3)
    assert back <= BACK_SECONDS


def test_the_proxy_is_the_only_way_out(net, tmp_path):
    with ExitStack() as stack:
        with inside(net.firewall):
            try:
                squid = stack.enter_context(running_squid(TUNNEL_PORT, LAN))
            except SquidUnavailable as reason:
                pytest.skip(f"no squid here: {reason}")
        stack.enter_context(net.no_way_but_the_proxy())
        url = f"http://{USER}:{quote(PASSWORD, safe='')}@{LAN}:{squid.port}"
        settings = {"JIRA_AGENT_PROXY_URL": url, "NO_PROXY": "", "no_proxy": ""}
        site = Site(net, tmp_path / "s", stack, address=OTHER, settings=settings)
        assert site.ask().status == 200
        with site.traffic() as traffic:
            time.sleep(2)
            squid.stop()
            time.sleep(3)
            began = time.monotonic()
            with inside(net.firewall):
                squid.start()
            back = traffic.back_after(began)
            time.sleep(2)
        tell(f"back {back:.1f} s after the proxy was started again")
        assert back <= BACK_SECONDS
        assert net.dropped("from_company") == 0, "the agent tried to go around the proxy"


def test_ipv6_only(net, tmp_path):
    with ExitStack() as stack:
        site = Site(net, tmp_path / "s", stack, address=GATEWAY6)
        assert site.ask().status == 200
        with inside(net.cloud):
            rows = site.stack.links()
        assert rows, "no link"
        assert COMPANY6  # routed, not translated: the gateway sees the agent's own address
        wait_until(lambda: COMPANY6 in site.stack.gateway.output(), "the gateway has named the peer")
