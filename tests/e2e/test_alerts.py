"""A login that Jira rejects is told to a receiver by a real gateway, once, also over a restart."""

import base64
import json
import signal
import sys
import urllib.request
from datetime import UTC, datetime

from standardwebhooks import Webhook

from tests.support.callers import ask, bearer
from tests.support.fake_jira import Canned, JiraProcess
from tests.support.stack import Program, Stack, wait_until

SECRET = "whsec_" + base64.b64encode(b"canary-of-the-alerts-secret-0123").decode()
PATH = "/canary-in-the-alerts-address"


def test_a_rejected_login_is_told_once_and_never_with_a_secret(tmp_path):
    subscriber = Program(
        [sys.executable, "-m", "tests.support.subscriber"], Stack.clean_environment(), tmp_path / "subscriber"
    )
    with JiraProcess("9.12") as jira:
        subscriber.start()
        wait_until(lambda: subscriber.output().endswith("\n"), "the receiver's address")
        place = json.loads(subscriber.output())
        settings = {
            "JIRA_GATEWAY_ALERT_URL": place["url"] + PATH,
            "JIRA_GATEWAY_ALERT_SECRET": SECRET,
            "JIRA_GATEWAY_ALLOW_NETWORKS": "127.0.0.0/8",
        }

        def received():
            with urllib.request.urlopen(place["control"] + "received", timeout=5) as answer:
                return json.load(answer)

        try:
            with Stack(tmp_path / "stack", jira.url, settings=settings) as stack:
                off = {name: value for name, value in stack.gateway.environment.items() if "_ALERT_" not in name}
                stack.start_gateway()
                wrong = "canary-password\n"
                stack.must(
                    "connections", "add", "far", "--via", "direct", "--base-url", jira.url, "--credentials", "gateway",
                    "--username", "svc.bridge", "--secret-file", "-", stdin=wrong,
                )  # fmt: skip
                token = stack.token("t", "far")
                jira.misbehave("/rest/api/2", Canned("wrong-password"))
                ask(f"{stack.url}/jira/far", "GET", "/rest/api/2/myself", None, [bearer(token)])
                wait_until(received, "the alert", 30)
                [one] = received()
                body = base64.b64decode(one["body"]).decode()
                moment = datetime.fromtimestamp(int(one["headers"]["webhook-timestamp"]), UTC)
                assert one["headers"]["webhook-signature"] == Webhook(SECRET).sign(
                    one["headers"]["webhook-id"], moment, body
                )
                document = json.loads(body)
                assert (document["type"], document["data"]["kind"]) == ("alert.firing", "login_rejected")

                kept = stack.folder / "gateway" / "alerts.json"
                wait_until(lambda: json.loads(kept.read_text())["waiting"] == [], "it is kept that it was told", 5)
                stack.gateway.stop(signal.SIGKILL)
                stack.start_gateway()
                [listed] = json.loads(stack.must("alerts", "list", "--json"))
                assert (listed["kind"], listed["subject"]) == ("login_rejected", "far")
                assert json.loads(stack.must("alerts", "test", "--json"))["ok"] is True
                assert [json.loads(base64.b64decode(one["body"]))["type"] for one in received()] == [
                    "alert.firing",
                    "alert.test",
                ]
                told = "".join(
                    (stack.must("alerts", "list"), stack.must("alerts", "test"), stack.gateway.output(), body)
                )
                assert '"event": "alert"' in told
                assert "canary" not in told
                stack.gateway.stop()
                stack.gateway.environment = off
                stack.start_gateway()
                assert stack.command("alerts", "test").returncode == 1
                assert "off" in stack.command("alerts", "list").stderr
        finally:
            subscriber.stop()
