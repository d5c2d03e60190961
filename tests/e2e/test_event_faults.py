"""Events while everything dies: what Jira did reaches the subscriber, and hardly anything twice.

Jira 9.12 posts each webhook once and never again. What it handed to a running agent is carried; what it could not hand
over, because the agent was dead at that moment, is found by the sweep of the gap.
"""

import random
import signal
import time

import pytest

from tests.support.event_site import MADE, event_site
from tests.support.stack import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COUNT, RATE, KILLS = 2000, 50, 20
KINDS = ["issue", "edit", "comment", "worklog", "transition"]


def restart(program, wait):
    program.send(signal.SIGKILL)
    program.process.wait()
    program.start()
    wait()


def test_two_thousand_events_arrive_while_gateway_and_agent_are_killed_twenty_times_each(tmp_path):
    with event_site(tmp_path) as site:
        subscriber = site.subscribe("all")
        site.jira.call("storm", count=COUNT, rate=RATE, kinds=KINDS)
        kills = [site.stack.gateway, site.agent] * KILLS
        random.Random(7).shuffle(kills)
        pause = COUNT / RATE / len(kills)
        for program in kills:
            began = time.monotonic()
            wait = site.stack.wait_gateway if program is site.stack.gateway else (lambda: None)
            restart(program, wait)
            time.sleep(max(0.0, pause - (time.monotonic() - began)))
        wait_until(lambda: not site.jira.call("storm_status", made=False)["running"], "the storm is over", 60)
        site.agent.wait_ready()

        made = site.jira.call("storm_status")["made"]
        assert len(made) == COUNT
        wanted = {site.message_id(one["occurrence"], "all") for one in made}
        missing = subscriber.wait_for_ids(wanted, 90)
        lost = [one for one in made if site.message_id(one["occurrence"], "all") in missing]
        assert lost == []
        assert subscriber.twice < COUNT / 100, f"{subscriber.twice} of {COUNT} came twice"
        gaps = [event for event in subscriber.events if event["type"] == "gap"]
        assert gaps
        assert {gap["payload"]["cause"] for gap in gaps} <= {"agent", "jira", "webhook"}


def test_what_jira_hands_to_an_agent_without_a_tunnel_arrives_completely_and_is_no_gap(tmp_path):
    with event_site(tmp_path) as site:
        subscriber = site.subscribe("all")
        site.stack.gateway.stop()
        site.jira.call("storm", count=300, rate=100, kinds=KINDS)
        wait_until(lambda: not site.jira.call("storm_status", made=False)["running"], "the storm is over", 30)
        wait_until(lambda: not site.jira.call("deliveries", count=True)["pending"], "the agent has everything", 30)
        assert subscriber.received == []

        site.stack.start_gateway()
        made = site.jira.call("storm_status")["made"]
        missing = subscriber.wait_for_ids({site.message_id(one["occurrence"], "all") for one in made}, 60)
        assert missing == set()
        assert subscriber.twice == 0
        assert all(event["type"] != "gap" and not event["repaired"] for event in subscriber.events)


def test_what_jira_did_while_the_agent_was_dead_is_found_and_told_as_a_gap(tmp_path):
    with event_site(tmp_path) as site:
        subscriber = site.subscribe("all")
        site.jira.call("add_issue", summary="before")
        subscriber.wait_for(1)
        site.agent.stop(signal.SIGKILL)
        site.jira.call("storm", count=100, rate=100, kinds=KINDS)
        wait_until(lambda: not site.jira.call("storm_status", made=False)["running"], "the storm is over", 30)
        gone = site.jira.call("add_issue", summary="made and deleted while nobody looked")
        site.jira.call("delete_issue", issue=gone["key"])

        site.agent.start_and_wait()
        made = site.jira.call("storm_status")["made"]
        missing = subscriber.wait_for_ids({site.message_id(one["occurrence"], "all") for one in made}, 60)
        assert missing == set()
        wait_until(lambda: any(event["type"] == "gap" for event in subscriber.events), "the gap is told", 30)
        [gap] = [event for event in subscriber.events if event["type"] == "gap"]
        assert gap["payload"]["cause"] == "agent"
        assert gap["payload"]["found"] >= len(made)
        assert gap["payload"]["from"] < gap["payload"]["to"]
        assert {event["type"] for event in subscriber.events[1:] if not event["repaired"]} == {"gap"}
        assert str(gone["id"]) not in {event["issue"]["id"] for event in subscriber.events if event["issue"]}

        site.jira.call("add_issue", summary="after")
        wait_until(lambda: subscriber.events[-1]["payload"].get("issue") and not subscriber.events[-1]["repaired"], "webhooks work again", 20)  # fmt: skip


def test_a_gateway_that_was_away_says_so_to_those_who_are_called_from_the_internet(tmp_path):
    with event_site(tmp_path) as site:
        subscriber = site.subscribe("all", MADE, "--way", "internet")
        site.jira.call("add_issue", summary="before")
        subscriber.wait_for(1)
        time.sleep(2.5)  # the gateway's sign of life is written every two seconds
        site.stack.gateway.stop(signal.SIGKILL)
        lost = site.jira.call("add_issue", summary="Jira posts this to nobody")
        site.stack.start_gateway()

        occurrence = f"issue-created/{lost['id']}"
        assert subscriber.wait_for_ids({site.message_id(occurrence, "all")}, 60) == set()
        wait_until(lambda: any(event["type"] == "gap" for event in subscriber.events), "the gap is told", 30)
        [gap] = [event for event in subscriber.events if event["type"] == "gap"]
        assert (gap["payload"]["cause"], gap["payload"]["way"]) == ("gateway", "internet")
