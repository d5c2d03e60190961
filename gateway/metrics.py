"""The gateway's metrics in Prometheus' text format: one table of names, values read when asked."""

from collections.abc import Iterable, Mapping

from gateway.direct_links import DirectLink
from gateway.outcomes import OutcomeLog
from gateway.registry import Registry
from http1.limits import OpenSockets
from tunnel.budget import Budget

Samples = Mapping[str, float]


def render(
    registry: Registry, outcomes: OutcomeLog, sockets: OpenSockets, budget: Budget, direct: Iterable[DirectLink] = ()
) -> str:
    """Return the whole page."""
    links: dict[str, float] = {}
    in_flight = 0
    for agent_link in registry.links():
        label = f'{{agent="{agent_link.identity.name}"}}'
        links[label] = links.get(label, 0) + 1
        in_flight += agent_link.in_flight
    straight: dict[str, float] = {}
    upstream: dict[str, float] = {}
    for link in direct:
        name, pool = link.entry.name, link.link.pool
        straight[f'{{connection="{name}"}}'] = link.link.streams
        upstream[f'{{connection="{name}",state="active"}}'] = pool.active
        upstream[f'{{connection="{name}",state="idle"}}'] = pool.idle
    wedged = {f'{{agent="{name}"}}': float(count) for name, count in sorted(registry.wedged_total.items())}
    answers = {f'{{status="{status}"}}': float(count) for status, count in sorted(outcomes.by_status.items())}
    ours = {f'{{error="{slug}"}}': float(count) for slug, count in sorted(outcomes.by_slug.items())}
    blocks = [
        block("jira_gateway_agent_links", "gauge", "Live links by agent.", links),
        block(
            "jira_gateway_links_wedged_total", "counter", "Links that were up and gave no answers, by agent.", wedged
        ),
        block("jira_gateway_requests_in_flight", "gauge", "Requests on links.", {"": in_flight}),
        block("jira_gateway_direct_requests_in_flight", "gauge", "Requests by direct connection.", straight),
        block("jira_gateway_direct_sockets", "gauge", "Sockets to Jiras by direct connection.", upstream),
        block("jira_gateway_answers_total", "counter", "Answers to callers by status.", answers),
        block("jira_gateway_errors_total", "counter", "Outcomes that were ours and not Jira's, by slug.", ours),
        block("jira_gateway_hung_up_total", "counter", "Callers that left before an answer.", {"": outcomes.hung_up}),
        block("jira_gateway_caller_sockets", "gauge", "Open sockets of callers.", {"": len(sockets.open)}),
        block("jira_gateway_caller_sockets_refused_total", "counter", "Sockets over the cap.", {"": sockets.refused}),
        block("jira_gateway_window_bytes", "gauge", "Bytes granted to agents in windows.", {"": budget.granted}),
    ]
    return "".join(blocks)


def block(name: str, kind: str, text: str, samples: Samples) -> str:
    """Return one metric: its name, what it is, and its samples by their labels (`{a="b"}`, or "")."""
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n" + "".join(_lines(name, samples))


def _lines(name: str, samples: Samples) -> Iterable[str]:
    for labels, value in samples.items():
        yield f"{name}{labels} {value:g}\n"
