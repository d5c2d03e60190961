"""`make bench-events`: how many webhooks a second are taken in durably, and how soon they are with their subscribers.

Real processes on this machine: a stand-in Jira that posts, an agent, a gateway, and ten subscribers in one process, one
of which never answers. Prints a Markdown table and writes bench/results/events.json.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.event_site import EventSite, event_site
from tests.support.stack import page
from tests.support.subscriber import Answer

RESULTS = Path(__file__).parent / "results" / "events.json"
SETTINGS = {"webhook_senders": 16, "webhook_queue_limit": 50_000}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def storm(site: EventSite, count: int, rate: int) -> list[dict[str, Any]]:
    """Let Jira make issues, and return its deliveries when all are answered."""
    before = site.jira.call("deliveries", count=True)["queued"]
    site.jira.call("storm", count=count, rate=rate, kinds=["issue"])
    deadline = time.monotonic() + count / rate + 60
    while time.monotonic() < deadline:
        counts = site.jira.call("deliveries", count=True)
        if counts["queued"] - before >= count and not counts["pending"]:
            break
        time.sleep(0.2)
    found: list[dict[str, Any]] = []
    while rows := site.jira.call("deliveries", after=before + len(found), body=False):
        found += rows
    return found


def intake(folder: Path, way: str, count: int, rate: int) -> dict[str, Any]:
    """Measure the way in alone: one trigger that is only fetched."""
    with event_site(folder) as site:
        site.jira.call("set", **SETTINGS)
        site.add_trigger("kept", "jira:issue_created", "--way", way)
        rows = storm(site, count, rate)
        spans = [row["answered_at"] - row["queued_at"] for row in rows if row["status"] == 204]
        began, ended = rows[0]["queued_at"], max(row["answered_at"] for row in rows if row["answered_at"])
        deadline = time.monotonic() + 30
        while site.show("kept")["counts"]["kept"] < len(spans) and time.monotonic() < deadline:
            time.sleep(0.5)
        return {
            "asked_per_s": rate,
            "taken_per_s": round(len(spans) / (ended - began)),
            "refused": len(rows) - len(spans),
            "stored": site.show("kept")["counts"]["kept"],
            "answer_p50_ms": round(1000 * statistics.median(spans), 1),
            "answer_p99_ms": round(1000 * percentile(spans, 0.99), 1),
        }


def fan_out(folder: Path, count: int, rate: int) -> dict[str, Any]:
    """Measure from intake to ten subscribers, one of them dead."""
    with event_site(folder) as site:
        site.jira.call("set", **SETTINGS)
        dead = site.subscribe("dead", "jira:issue_created", decide=lambda _: Answer(silent=True))
        healthy = [site.subscribe(f"s{number}", "jira:issue_created") for number in range(9)]
        storm(site, count, rate)
        missing = []
        for subscriber in healthy:
            with contextlib.suppress(TimeoutError):
                subscriber.wait_for(count, 60)
            missing.append(count - len(set(subscriber.subscriber.ids)))
        spans = []
        for subscriber in healthy:
            for one in subscriber.received:
                received_at = datetime.fromisoformat(one.document["received_at"])
                spans.append((one.at - received_at).total_seconds())
        return {
            "events": count,
            "per_s": rate,
            "missing": sum(missing),
            "twice": sum(subscriber.twice for subscriber in healthy),
            "to_the_dead": len(dead.received),
            "p50_ms": round(1000 * statistics.median(spans), 1),
            "p99_ms": round(1000 * percentile(spans, 0.99), 1),
            "max_ms": round(1000 * max(spans), 1),
            "gateway_rss_mib": rss(site.stack.gateway.pid),
            "agent_rss_mib": rss(site.agent.pid),
            "metrics": [
                line
                for line in page(site.stack.admin_port, "/metrics")[1].decode().splitlines()
                if "webhooks_" in line and line[0] != "#"
            ],
        }


def rss(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * 4096 / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.events", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="of the fan-out (10000)")
    parser.add_argument("--rate", type=int, default=60, help="of the fan-out, per second (60)")
    parser.add_argument("--intake", type=int, default=15_000, help="events of each intake (15000)")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="jira-be-", dir="/tmp") as folder:
        for way in ("lan", "internet"):
            results[f"intake {way}"] = intake(Path(folder, way), way, arguments.intake, 500)
        results["fan-out"] = fan_out(Path(folder, "fan"), arguments.events, arguments.rate)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for name, figures in results.items():
        print(f"\n| {name} | |\n|---|---|")
        for key, value in figures.items():
            print(f"| {key} | {value} |")


if __name__ == "__main__":
    main()
