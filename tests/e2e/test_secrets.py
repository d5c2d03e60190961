"""Canaries: every secret is planted, everything is run at debug level, and nothing that we write holds one of them.

Looked through are logs, admin pages, answers, what commands print, support material, and the command lines and
environments' names of our processes; looked for is each secret in plain, URL-encoded, and base64 form.
"""

import base64
import json
import re
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.callers import ask, basic, bearer
from tests.support.evidence import Evidence
from tests.support.fake_jira import Canned, CloseBeforeAnswer, Hang, JiraProcess
from tests.support.stack import Stack, page, run, wait_until

pytestmark = pytest.mark.slow

# Names that betray themselves wherever they turn up; characters that URLs and JSON write otherwise.
PASSWORD = 'canary-pass/"word+of Jira'
PAT = "canary-personal-access-token"
PROXY_PASSWORD = "canary-proxy-password"
SEALED = "canary-sealed-at-the-gateway"
CALLERS = "canary-of-the-callers-login"
COOKIE = "canary-cookie"
QUERY = "canary-in-a-query"
BODY = "canary-in-a-body"
SECRET_KEY = base64.urlsafe_b64encode(b"canary-secret-key-of-32-bytes!!!").decode()


class Proxy:
    """A CONNECT proxy that lets everybody through and remembers nothing."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.logins = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with near:
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            self.logins.append(re.search(rb"Proxy-Authorization: Basic (\S+)", head)[1])
            host, _, port = head.split()[1].decode().rpartition(":")
            try:
                far = socket.create_connection((host, int(port)))
            except OSError:
                return  # the gateway has stopped, and its agents try to come back
            with far:
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(far, near), daemon=True)
                back.start()
                pump(near, far)
                back.join(5)


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.close()


def key_lines(file):
    """The base64 lines of a private key in PEM."""
    key = re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.+?)-----END", file.read_text(), re.DOTALL)
    return max(key[1].split(), key=len)


def test_no_secret_appears_anywhere(tmp_path, proxy):
    seen = Evidence()
    settings = {"JIRA_GATEWAY_SECRET_KEY": SECRET_KEY, "JIRA_GATEWAY_LOG_FORMAT": "json"}
    with (
        JiraProcess("9.12", context="/jira") as jira,
        Stack(tmp_path / "stack", jira.url, settings=settings, log_level="debug") as stack,
    ):
        for user, attributes in {"svc.bridge": {"password": PASSWORD}, "admin": {"token": PAT}}.items():
            jira.call("set_user", name=user, attributes=attributes)
        stack.start_gateway()
        secrets = {"SECRET_KEY": SECRET_KEY, "proxy password": PROXY_PASSWORD, "password": PASSWORD, "PAT": PAT}
        secrets |= {"sealed": SEALED, "caller's": CALLERS, "cookie": COOKIE, "query": QUERY, "body": BODY}

        # Enrolment: a code that works, one used twice, and a broken one.
        agents = {}
        logins = {
            "basic": {"JIRA_AGENT_JIRA_USERNAME": "svc.bridge", "JIRA_AGENT_JIRA_PASSWORD": PASSWORD},
            "pat": {"JIRA_AGENT_JIRA_TOKEN": PAT},
        }
        for name, login in logins.items():
            proxied = {"JIRA_AGENT_PROXY_URL": f"http://user:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}"}
            agents[name] = stack.agent(name, **login, **proxied)
            code = secrets[f"code of {name}"] = stack.must("agents", "invite", name).strip()
            seen.command("enroll first", agents[name].command("enroll", "-", stdin=code))
            seen.command("enroll again", stack.agent(f"late-{name}", **login).command("enroll", "-", stdin=code))
            seen.command("enroll broken", agents[name].command("enroll", "-", stdin=code[:-3] + "xyz"))
            agents[name].start()
        for agent in agents.values():
            agent.wait_ready()
            secrets[f"key of {agent.name}"] = key_lines(agent.state_dir / "agent.pem")
        for name, file in (("CA key", "ca/ca.key"), ("tunnel key", "server.pem")):
            secrets[name] = key_lines(stack.folder / "gateway" / file)
        assert proxy.logins, "the proxy was not used"

        # Connections of each kind, their tokens, and requests that succeed and fail in every way.
        stack.must(
            "connections", "add", "sealed", "--via", "basic", "--credentials", "gateway", "--username", "svc.bridge",
            "--secret-file", "-", stdin=SEALED,
        )  # fmt: skip
        tokens = {"basic": stack.connect("basic"), "pat": stack.connect("pat"), "sealed": stack.token("s", "sealed")}
        tokens["own"] = stack.connect("own", via="basic", credentials="caller")
        secrets |= {f"token {name}": token for name, token in tokens.items()}
        own = [("Tunnel-Authorization", f"Bearer {tokens['own']}"), basic("svc.bridge", CALLERS), ("Cookie", COOKIE)]

        def requests():
            for name, token in tokens.items():
                headers = own if name == "own" else [bearer(token), ("Cookie", COOKIE)]
                url = f"{stack.url}/jira/{name}"
                for method, target, body in (
                    ("GET", f"/rest/api/2/myself?x={QUERY}", None),
                    ("POST", f"/rest/api/2/issue?os_password={QUERY}", BODY.encode()),
                    ("POST", "/rest/api/2/test/status/200", BODY.encode()),
                    ("GET", f"/secure/admin?{QUERY}", None),
                    ("GET", f"/rest/api/2/..;/x?{QUERY}", None),
                ):
                    seen.reply(f"{name} {method} {target[:20]}", ask(url, method, target, body, headers, timeout=20))

        requests()
        for fault in (
            CloseBeforeAnswer(),
            Canned("wrong-password"),
            Canned("captcha-required"),
            Canned("rate-limited"),
        ):
            jira.misbehave("/rest/api/2", fault)
            requests()
        jira.misbehave("/rest/api/2/test/sink", Hang())
        late = [bearer(tokens["basic"]), ("Tunnel-Timeout", "0.3")]
        seen.reply("late", ask(f"{stack.url}/jira/basic", "POST", "/rest/api/2/test/sink", BODY.encode(), late))
        jira.call("behave")
        for login in (bearer("jtg_" + CALLERS), basic("svc.bridge", CALLERS), ("Authorization", f"Custom {CALLERS}")):
            seen.reply("wrong token", ask(f"{stack.url}/jira/basic", "GET", f"/x?{QUERY}", None, [login]))
        # Malformed requests that hold secrets in places where errors like to quote.
        for line in (f"GET /{QUERY} {tokens['basic']} HTTP/9", f"G@T {tokens['basic']}", f"GET / HTTP/1.1\r\n{COOKIE}"):
            with socket.create_connection(("127.0.0.1", stack.api_port), timeout=15) as sock:
                sock.sendall(f"{line}\r\n\r\n".encode())
                seen.add("malformed", sock.recv(4096))

        # What administrators look at, and a reload with a broken policy.
        rotated = json.loads(stack.must("tokens", "rotate", "token-pat", "--json"))["token"]
        secrets["rotated token"] = rotated
        for words in (
            "agents list", "agents show basic", "connections list", "connections show sealed", "connections test basic",
            "connections test sealed", "tokens list", "audit list", "audit verify", "version",
        ):  # fmt: skip
            for form in ((), ("--json",)):
                seen.command(f"gateway {words}", stack.command(*words.split(), *form))
        for agent in agents.values():
            for words in ("status", "policy show", "policy check GET /rest/api/2/myself", "version"):
                seen.command(f"agent {words}", agent.command(*words.split()))
            for path in ("/status", "/metrics", "/readyz", "/healthz"):
                seen.add(f"agent {path}", page(agent.admin_port, path)[1])
        for path in ("/status", "/metrics", "/readyz", "/healthz"):
            seen.add(f"gateway {path}", page(stack.admin_port, path)[1])
        broken = {**agents["basic"].environment, "JIRA_AGENT_JIRA_PASSWRD": PASSWORD, "JIRA_AGENT_LINKS": PAT}
        seen.command("agent with errors", run([sys.executable, "-m", "agent", "run"], broken, None))
        for name in ("SECRET_KEY", "SECRET_KEI", "LOG_LEVEL"):
            broken = {**stack.gateway.environment, f"JIRA_GATEWAY_{name}": SECRET_KEY + "x"}
            seen.command("gateway with errors", run([sys.executable, "-m", "gateway", "run"], broken, None))

        for program in (stack.gateway, *agents.values()):
            seen.add(f"command line of {program.pid}", Path(f"/proc/{program.pid}/cmdline").read_bytes())
            program.stop()
            seen.add(f"log {program.log}", program.output())

        logs = "".join(text for where, text in seen.texts.items() if where.startswith("log"))
        for event in ('"event":"request"', "request_failed", "enrolment_refused", "agent_started", "link_up"):
            assert event in logs, f"{event} was never logged: the test proves nothing"
        assert all(json.loads(line) for line in stack.gateway.output().splitlines())
    assert len(secrets) >= 18
    assert seen.leaks(secrets) == []


def test_this_test_would_find_a_secret_in_each_of_its_forms():
    for text in (
        PASSWORD,
        quote(PASSWORD),
        json.dumps(PASSWORD),
        base64.b64encode(f"svc.bridge:{PASSWORD}".encode()).decode(),
    ):
        seen = Evidence()
        seen.add("log", f"request failed: {text} was sent")

        assert seen.leaks({"password": PASSWORD})


def test_secrets_may_come_from_files_and_systemd_credentials(tmp_path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "jira_agent_jira_password").write_text("password-of-svc.bridge\n")
    (tmp_path / "password").write_text("password-of-svc.bridge\n")
    with JiraProcess("9.12") as jira, Stack(tmp_path / "stack", jira.url) as stack:
        stack.start_gateway()
        password = {"JIRA_AGENT_JIRA_PASSWORD_FILE": str(tmp_path / "password")}
        agent = stack.enroll("hq", JIRA_AGENT_JIRA_USERNAME="svc.bridge", **password)
        token = None
        for source in ("file", "credential"):
            if source == "credential":
                del agent.settings["JIRA_AGENT_JIRA_PASSWORD_FILE"]
                agent.settings["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
            agent.start_and_wait()
            token = token or stack.connect("hq")
            wait_until(stack.links, "the agent's links")
            who = ask(f"{stack.url}/jira/hq", "GET", "/rest/api/2/myself", None, [bearer(token)])
            assert who.json()["name"] == "svc.bridge", source
            agent.stop()
