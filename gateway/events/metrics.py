"""The metrics of events, read at each scrape. What each means is in gateway/metric_table.py."""

from gateway.events.service import EventService
from runtime.metrics import Sheet


def put_events(sheet: Sheet, events: EventService) -> None:
    """Put every number about events on the sheet of one scrape."""
    intake, log, retention = events.intake, events.log, events.retention
    sheet.put("jira_gateway_webhooks_received_total", intake.received)
    sheet.put("jira_gateway_webhooks_duplicate_total", intake.duplicates)
    sheet.put("jira_gateway_webhooks_refused_total", intake.refused)
    sheet.put("jira_gateway_webhooks_turned_away_total", intake.turned_away)
    sheet.put("jira_gateway_event_log_ok", log.problem is None)
    sheet.put("jira_gateway_events_bytes", retention.bytes)
    sheet.put("jira_gateway_events_limit_bytes", retention.max_bytes)
    sheet.put("jira_gateway_events_full", log.is_full)
    sheet.put("jira_gateway_event_readers", events.feed.readers)
    _put_deliveries(sheet, events)
    for row in events.registrar.rows():
        is_troubled = row["problem"] is not None
        sheet.put("jira_gateway_webhook_registration_problem", is_troubled, str(row["connection"]))


def _put_deliveries(sheet: Sheet, events: EventService) -> None:
    names = {entry.id: entry.name for entry in events.directory.subscriptions.triggers}
    for trigger, by_state in events.counts.items():
        if trigger in names:
            for state, count in by_state.items():
                sheet.put("jira_gateway_deliveries", count, names[trigger], state.value)
    for row in events.deliverer.rows():
        name = str(row["trigger"])
        sheet.put("jira_gateway_deliveries_sent_total", row["delivered"], name)
        sheet.put("jira_gateway_delivery_failures_total", row["failed"], name)
        sheet.put("jira_gateway_subscriber_failures_in_a_row", row["failures_in_a_row"], name)
