"""The metrics of events in Prometheus' text format; values are read when asked."""

from gateway.events.service import EventService
from gateway.metrics import block


def render_events(events: EventService) -> str:
    """Return the part of the page that is about events."""
    intake, log = events.intake, events.log
    names = {entry.id: entry.name for entry in events.directory.subscriptions.triggers}
    deliveries = {
        f'{{trigger="{names[trigger]}",state="{state.value}"}}': float(count)
        for trigger, by_state in events.counts.items()
        if trigger in names
        for state, count in by_state.items()
    }
    rows = events.deliverer.rows()
    sent = {f'{{trigger="{row["trigger"]}"}}': float(row["delivered"]) for row in rows}
    failed = {f'{{trigger="{row["trigger"]}"}}': float(row["failed"]) for row in rows}
    failing = {f'{{trigger="{row["trigger"]}"}}': float(row["failures_in_a_row"]) for row in rows}
    troubled = {
        f'{{connection="{row["connection"]}"}}': float(row["problem"] is not None) for row in events.registrar.rows()
    }
    blocks = [
        block("jira_gateway_webhooks_received_total", "counter", "Webhooks that were stored.", {"": intake.received}),
        block("jira_gateway_webhooks_duplicate_total", "counter", "Of those, known already.", {"": intake.duplicates}),
        block(
            "jira_gateway_webhooks_refused_total", "counter", "Webhooks with a wrong signature.", {"": intake.refused}
        ),
        block("jira_gateway_webhooks_turned_away_total", "counter", "Webhooks without room.", {"": intake.turned_away}),
        block("jira_gateway_event_log_ok", "gauge", "Whether events can be written.", {"": float(log.problem is None)}),
        block("jira_gateway_events_bytes", "gauge", "Size of the events that are kept.", {"": events.retention.bytes}),
        block("jira_gateway_events_full", "gauge", "Whether webhooks are refused for that.", {"": float(log.is_full)}),
        block("jira_gateway_deliveries", "gauge", "Deliveries by trigger and state.", deliveries),
        block("jira_gateway_deliveries_sent_total", "counter", "Deliveries that succeeded.", sent),
        block("jira_gateway_delivery_failures_total", "counter", "Attempts that failed.", failed),
        block("jira_gateway_subscriber_failures_in_a_row", "gauge", "Failed attempts since the last success.", failing),
        block("jira_gateway_webhook_registration_problem", "gauge", "Whether hooks need a person.", troubled),
        block("jira_gateway_event_readers", "gauge", "Readers of events.", {"": events.feed.readers}),
    ]
    return "".join(blocks)
