"""Canaries of events: signing secrets, unguessable addresses and what Jira tells are in no log, page or command.

Events pass, fail to be delivered, are swept and refused at debug level; their payload may be seen only by who reads it.
"""

import json
from pathlib import Path

import pytest

from tests.support.callers import ask, bearer
from tests.support.event_site import event_site
from tests.support.evidence import Evidence
from tests.support.fake_jira import Canned
from tests.support.stack import page, wait_until
from tests.support.subscriber import Answer

pytestmark = pytest.mark.slow

BODY = "canary-in-the-summary-of-an-issue"
PATH = "canary-in-the-path-of-a-subscriber"
QUERY = "canary-in-the-query-of-a-subscriber"


def test_no_secret_of_events_appears_anywhere(tmp_path):
    seen = Evidence()
    with event_site(tmp_path, "10.3", log_level="debug") as site:
        secrets = {"summary": BODY}
        for way in ("lan", "internet"):
            site.subscribe(way, "jira:issue_created,comment_created", "--way", way)
        nowhere = f"http://127.0.0.1:{site.webhook_port + 1}/{PATH}?key={QUERY}"
        secrets["unreachable"] = site.add_trigger("nowhere", "jira:issue_created", "--deliver-to", nowhere)["secret"]
        broken = site.subscribe("broken", "jira:issue_created")
        broken.subscriber.usual = Answer(500, body="no")
        secrets |= {f"secret of {name}": secret for name, secret in site.secrets.items()}
        rotated = site.stack.must("triggers", "rotate", "lan", "--json")
        secrets["rotated"] = json.loads(rotated)["secret"]
        secrets = {name: secret.removeprefix("whsec_") for name, secret in secrets.items()}
        for number, webhook in enumerate(site.jira.call("webhooks")):
            secrets[f"address {number}"] = webhook["url"].rpartition("/")[2]
            secrets[f"Jira's secret {number}"] = webhook["secret"]
        reader = site.stack.token("reader", "hq", flags=("--scope", "events"))
        secrets["reader"] = reader

        issue = site.jira.call("add_issue", summary=BODY)
        site.jira.call("add_comment", issue=issue["key"], body=BODY)
        for subscriber in site.subscribers[:2]:
            subscriber.wait_for(2)
        wait_until(lambda: len(broken.received) >= 1, "a delivery fails")
        feed = ask(site.stack.url, "GET", "/api/v1/triggers/lan/events", headers=[bearer(reader)])
        assert BODY in feed.body.decode(), "the canary never came: the test proves nothing"
        for path in ("/api/v1/triggers/lan/events?after=x", "/api/v1/triggers/none/events", "/hooks/" + BODY):
            seen.reply(f"GET {path}", ask(site.stack.url, "GET", path, headers=[bearer(reader)]))

        # Webhooks that are refused, and a Jira that does not let us register any.
        urls = [webhook["url"] for webhook in site.jira.call("webhooks")]
        for url in urls:
            base, _, target = url.partition("/hooks/")
            for body in (BODY.encode(), json.dumps({"webhookEvent": BODY}).encode(), b"[" * 100_000):
                headers = [("Content-Type", "application/json"), ("X-Hub-Signature", f"sha256={BODY}")]
                seen.reply("webhook", ask(base, "POST", f"/hooks/{target}?{QUERY}", body, headers))
        site.jira.misbehave("/rest", Canned("wrong-password"))
        site.add_trigger("late", "comment_updated", "--deliver-to", site.subscribers[0].subscriber.url)
        site.jira.call("behave")

        for words in (
            "triggers list", "triggers show lan", "triggers show broken", "triggers show internet", "agents show headquarters",
            "connections show hq", "audit list", "audit verify", "agents list",
        ):  # fmt: skip
            for form in ((), ("--json",)):
                seen.command(f"gateway {words}", site.stack.command(*words.split(), *form))
        for words in ("triggers events lan", "triggers events broken"):
            seen.command(f"gateway {words}", site.stack.command(*words.split()))
        for words in ("status", "policy show", "version"):
            seen.command(f"agent {words}", site.agent.command(*words.split()))
        for path in ("/status", "/metrics", "/readyz"):
            seen.add(f"agent {path}", page(site.agent.admin_port, path)[1])
            seen.add(f"gateway {path}", page(site.stack.admin_port, path)[1])
        for program in (site.agent, site.stack.gateway):
            seen.add(f"command line of {program.pid}", Path(f"/proc/{program.pid}/cmdline").read_bytes())
            program.stop()
            seen.add(f"log {program.log}", program.output())

    logs = "".join(text for where, text in seen.texts.items() if where.startswith("log"))
    for event in ("webhook", "deliver", "trigger"):
        assert event in logs, f"{event} was never logged: the test proves nothing"
    assert len(secrets) == 11
    assert seen.leaks(secrets) == []
    leaks = seen.leaks({"address": PATH, "address's query": QUERY})
    assert [leak for leak in leaks if " in gateway triggers list: " not in leak] == []  # seen by who may change it
