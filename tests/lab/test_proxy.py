"""Corporate proxies for real: squid with a login, with TLS of its own, with rules; for run, enroll and doctor alike."""

import json
import os
from urllib.parse import quote

import pytest

from tests.e2e.conftest import SERVICE
from tests.lab.squid import PASSWORD, USER, SquidUnavailable, running_squid
from tests.support.callers import ask, bearer
from tests.support.fake_jira import JiraProcess
from tests.support.stack import Stack, page, wait_until

pytestmark = [pytest.mark.timeout(180), pytest.mark.skipif(os.geteuid() != 0, reason="squid is started as root")]

LOGIN = f"{USER}:{quote(PASSWORD, safe='')}"
BARE = {"NO_PROXY": "", "no_proxy": ""}  # the machine's own


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A gateway that only squid is meant to be asked for, and a Jira."""
    with JiraProcess("9.12", context="/jira") as jira, Stack(tmp_path_factory.mktemp("proxy"), jira.url) as stack:
        stack.start_gateway()
        try:
            with running_squid(stack.tunnel_port) as squid:
                yield stack, squid
        except SquidUnavailable as reason:
            pytest.skip(f"no lab here: {reason}")


def agent_of(site, name, **settings):
    return site[0].agent(name, **SERVICE, **BARE, **settings)


def enroll(site, agent):
    return agent.command("enroll", "-", stdin=site[0].must("agents", "invite", agent.name))


def checks(agent):
    done = agent.command("doctor", "--quick", "--json")
    return {row["check"]: row for row in json.loads(done.stdout)["checks"]}


def ways(squid):
    """The ways to say which proxy."""
    plain, tls = f"http://{LOGIN}@127.0.0.1:{squid.port}", f"https://{LOGIN}@localhost:{squid.tls_port}"
    return {
        "plain": {"JIRA_AGENT_PROXY_URL": plain},
        "tls": {"JIRA_AGENT_PROXY_URL": tls, "JIRA_AGENT_PROXY_CA_FILE": str(squid.ca)},
        "standard": {"HTTPS_PROXY": plain},
    }


@pytest.mark.parametrize("way", ["plain", "tls", "standard"])
def test_enrolment_doctor_and_requests_go_through_the_proxy(site, way):
    stack, squid = site
    agent = agent_of(site, f"by-{way}", **ways(squid)[way])
    done = enroll(site, agent)
    assert done.returncode == 0, done.stderr
    before = squid.statuses().count("TCP_TUNNEL/200")
    found = checks(agent)
    assert found["proxy"]["result"] == found["tls"]["result"] == found["websocket"]["result"] == "pass", found
    agent.start_and_wait()
    token = stack.connect(agent.name)
    answer = ask(f"{stack.url}/jira/{agent.name}", "GET", "/rest/api/2/myself", None, [bearer(token)])
    assert answer.status == 200
    agent.stop()
    wait_until(lambda: squid.statuses().count("TCP_TUNNEL/200") > before, "squid has noted its tunnels")
    assert PASSWORD not in agent.output()
    assert LOGIN not in agent.output()


def test_a_wrong_password_is_told_by_all_of_them_and_shown_by_none(site):
    stack, squid = site
    agent = agent_of(site, "wrong")
    assert enroll(site, agent).returncode == 0
    url = f"http://{USER}:hunter2@127.0.0.1:{squid.port}"
    agent.settings["JIRA_AGENT_PROXY_URL"] = url
    found = checks(agent)["proxy"]
    assert (found["result"], "answered 407" in found["detail"]) == ("fail", True)
    assert "JIRA_AGENT_PROXY_URL=http://user:password@host:port" in found["action"]
    again = agent.command("enroll", "-", "--force", stdin=stack.must("agents", "invite", "wrong"))
    assert (again.returncode, "answered 407" in again.stderr, "Traceback" in again.stderr) == (1, True, False)
    agent.start()
    wait_until(lambda: b"answered 407" in page(agent.admin_port, "/readyz")[1], "status says so")
    status = agent.command("status").stdout
    assert "JIRA_AGENT_PROXY_URL=http://user:password@host:port" in status
    agent.stop()
    assert "hunter2" not in status + agent.output() + again.stderr + json.dumps(found)


def test_without_a_login_the_proxy_says_that_it_wants_one(site):
    _, squid = site
    agent = agent_of(site, "nobody", JIRA_AGENT_PROXY_URL=f"http://127.0.0.1:{squid.port}")
    done = enroll(site, agent)
    assert (done.returncode, "answered 407" in done.stderr) == (1, True)


def test_a_port_that_the_proxy_does_not_allow_is_told_with_whom_to_ask(site):
    stack, squid = site
    agent = agent_of(site, "port", **ways(squid)["plain"])
    agent.settings["JIRA_AGENT_GATEWAY_URL"] = f"wss://127.0.0.1:{stack.api_port}"
    found = checks(agent)["proxy"]
    assert (found["result"], "answered 403" in found["detail"]) == ("fail", True)
    assert "allow CONNECT" in found["action"]


def test_a_proxy_over_tls_of_an_unknown_ca_is_named_by_its_issuer(site):
    _, squid = site
    agent = agent_of(site, "untrusted", **ways(squid)["tls"])
    del agent.settings["JIRA_AGENT_PROXY_CA_FILE"]
    done = enroll(site, agent)
    assert (done.returncode, "JIRA_AGENT_PROXY_CA_FILE" in done.stderr) == (1, True)
    agent.settings["JIRA_AGENT_GATEWAY_URL"] = f"wss://127.0.0.1:{site[0].tunnel_port}"
    found = checks(agent)["proxy"]
    assert (found["result"], "issued by CN=localhost" in found["detail"]) == ("fail", True)


def test_a_gateway_that_the_proxy_does_not_reach_is_not_blamed_on_the_proxys_address(site):
    stack, squid = site
    agent = agent_of(site, "gone", **ways(squid)["plain"])
    agent.settings["JIRA_AGENT_GATEWAY_URL"] = f"wss://no-such-host.invalid:{stack.tunnel_port}"
    found = checks(agent)
    assert (found["dns"]["result"], found["proxy"]["result"]) == ("skip", "fail")
    assert "answered 50" in found["proxy"]["detail"]  # 503, or 500 while squid still looks for the name
    assert "the proxy itself does not get there" in found["proxy"]["action"]


def exempt_from_proxy(agent, names):
    agent.settings |= {"NO_PROXY": names, "no_proxy": names}  # an empty one of the other case would win


@pytest.mark.parametrize("exempt", ["127.0.0.1", "127.0.0.1:{port}", "*", "other.example, 127.0.0.1"])
def test_no_proxy_exempts_the_gateway_from_all_of_them(site, exempt):
    stack, _ = site
    agent = agent_of(site, "straight", JIRA_AGENT_PROXY_URL="http://127.0.0.1:1")
    exempt_from_proxy(agent, exempt.format(port=stack.tunnel_port))
    assert enroll(site, agent).returncode == 0
    found = checks(agent)
    assert (found["proxy"]["result"], found["websocket"]["result"]) == ("skip", "pass")


@pytest.mark.parametrize("exempt", ["127.0.0.2", "example.com", "127.0.0.1:1"])
def test_other_entries_of_no_proxy_exempt_nothing(site, exempt):
    agent = agent_of(site, "through", JIRA_AGENT_PROXY_URL="http://127.0.0.1:1")
    exempt_from_proxy(agent, exempt)
    agent.settings["JIRA_AGENT_GATEWAY_URL"] = f"wss://127.0.0.1:{site[0].tunnel_port}"
    found = checks(agent)["proxy"]
    assert (found["result"], "JIRA_AGENT_PROXY_URL" in found["action"]) == ("fail", True)
