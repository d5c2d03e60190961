"""Every metric of the gateway: its name, what it says, its labels, and when to look. Pure data.

docs/metrics.md is made from it by `make docs`. The numbers come from gateway/metrics.py and gateway/events/metrics.py.
Labels have few values: agents, instances, connections and triggers are what an operator made, the rest are short lists.
"""

from typing import Final

from runtime.metrics import PROCESS, Table, counter, gauge, histogram, program_rows

PREFIX: Final = "jira_gateway"

_LINKS: Final = (
    gauge("jira_gateway_agent_links", "Live links of every agent that may connect.", "agent", look="it is 0"),
    gauge(
        "jira_gateway_instance_links",
        "Live links of every instance whose certificate is valid.",
        "agent",
        "agent_instance",
        look="one of several instances has 0",
    ),
    counter(
        "jira_gateway_links_opened_total", "Links opened since the start.", "agent", look="it grows often: links flap"
    ),
    counter(
        "jira_gateway_links_wedged_total",
        "Links that were up and gave no answers.",
        "agent",
        look="it grows; `jira-gateway agents show` lists them",
    ),
    gauge(
        "jira_gateway_link_round_trip_seconds",
        "Round trip to an instance, the least of its links.",
        "agent",
        "agent_instance",
        look="it is much longer than it was",
    ),
    counter("jira_gateway_line_probes_total", "Visits of agents that measured their line."),
    counter(
        "jira_gateway_line_probes_refused_total",
        "Such visits that had to wait.",
        look="it grows steadily: somebody measures without end",
    ),
    counter("jira_gateway_line_probe_bytes_total", "Bytes of such visits, both ways."),
    counter("jira_gateway_link_received_bytes_total", "Bytes of messages from an agent.", "agent"),
    counter("jira_gateway_link_sent_bytes_total", "Bytes of messages to an agent.", "agent"),
    counter(
        "jira_gateway_window_blocked_seconds_total",
        "For how long requests had bytes to send to an agent and no credit, all together.",
        "agent",
        look="its rate stays above 1: Jira, or the agent's memory budget, is slower than uploads",
    ),
    gauge(
        "jira_gateway_outbox_bytes",
        "Bytes that wait to be sent to agents, by lane; blocked: their stream has no credit.",
        "lane",
        look="it stays high: the line is the bottleneck",
    ),
)

_REQUESTS: Final = (
    gauge("jira_gateway_requests_in_flight", "Requests on links."),
    counter("jira_gateway_answers_total", "Answers to callers by status.", "status"),
    counter(
        "jira_gateway_errors_total",
        "Outcomes that were ours and not Jira's, by slug (clients.md).",
        "error",
        look="it grows",
    ),
    counter(
        "jira_gateway_hung_up_total", "Callers that left before an answer.", look="it grows: answers take too long"
    ),
    histogram(
        "jira_gateway_request_duration_seconds",
        "How long callers waited for Jira's answer to begin: in all, and in which phase (queue: until it was handed to "
        "a link, for the last time), by way (agent, direct).",
        "way",
        "phase",
        look="the share above what callers can bear grows; the phase says where",
    ),
    counter(
        "jira_gateway_connection_requests_total",
        "Admitted requests by connection and outcome: Jira's status, an answer of ours, or the caller hung up.",
        "connection",
        "outcome",
        look="`ours` or `5xx` grows",
    ),
    counter(
        "jira_gateway_connection_wait_seconds_total",
        "Seconds until Jira's answers began, all together.",
        "connection",
        look="it grows faster than the requests",
    ),
    gauge("jira_gateway_caller_sockets", "Open sockets of callers."),
    counter(
        "jira_gateway_caller_sockets_refused_total",
        "Sockets of callers over the cap.",
        look="it grows: more than 10,000 sockets",
    ),
    gauge(
        "jira_gateway_window_bytes",
        "Bytes granted to agents in windows.",
        look="with those that wait it stays near `jira_gateway_memory_budget_bytes`",
    ),
    gauge(
        "jira_gateway_waiting_bytes",
        "Bytes of uploads that wait to be sent to agents, and of answers that callers have not taken.",
        look="it stays high: Jira, or callers, are slow",
    ),
    gauge("jira_gateway_memory_budget_bytes", "`JIRA_GATEWAY_MEMORY_BUDGET_BYTES`."),
    gauge("jira_gateway_kept_body_bytes", "Request bodies kept in case they must go again."),
    gauge("jira_gateway_kept_body_limit_bytes", "What they may take together; beyond it bodies are not kept."),
)

_DIRECT: Final = (
    gauge("jira_gateway_direct_requests_in_flight", "Requests of a direct connection at its Jira.", "connection"),
    gauge("jira_gateway_direct_requests_waiting", "Requests that wait for a place there.", "connection"),
    gauge("jira_gateway_direct_sockets", "Sockets to the Jira of a direct connection.", "connection", "state"),
    gauge(
        "jira_gateway_direct_jira_unavailable",
        "Whether nothing is sent to that Jira until a probe succeeds.",
        "connection",
        look="it is 1",
    ),
    gauge(
        "jira_gateway_direct_logins_refused",
        "Stored logins that this Jira refused and that are not used any more.",
        "connection",
        look="it is not 0: change the login",
    ),
)

_SURROUNDINGS: Final = (
    gauge(
        "jira_gateway_certificate_expiry_timestamp_seconds",
        "Until when a certificate file is valid: of the tunnel, its ca, and the api for callers.",
        "certificate",
        look="it is less than two days away (ca: 30 days)",
    ),
    gauge(
        "jira_gateway_agent_certificate_expiry_timestamp_seconds",
        "Until when the newest certificate of an instance is valid.",
        "agent",
        "agent_instance",
        look="it is less than two days away and the instance has links",
    ),
    gauge(
        "jira_gateway_egress_mismatch",
        "Whether the world sees another address than the declared one.",
        look="it is 1: firewalls that admit one address refuse us",
    ),
)

_EVENTS: Final = (
    counter("jira_gateway_webhooks_received_total", "Webhooks that were stored."),
    counter("jira_gateway_webhooks_duplicate_total", "Of those, known already."),
    counter(
        "jira_gateway_webhooks_refused_total",
        "Webhooks with a wrong signature.",
        look="it grows: somebody posts with a wrong secret, or it was not entered in Jira",
    ),
    counter("jira_gateway_webhooks_turned_away_total", "Webhooks without room.", look="it grows"),
    gauge(
        "jira_gateway_event_log_ok",
        "Whether events can be written.",
        look="it is 0: webhooks get 503; /status has the reason",
    ),
    gauge("jira_gateway_events_bytes", "Size of the events that are kept."),
    gauge(
        "jira_gateway_events_limit_bytes",
        "`JIRA_GATEWAY_EVENTS_MAX_BYTES`.",
    ),
    gauge(
        "jira_gateway_events_full",
        "Whether webhooks are refused for that.",
        look="it is 1: nothing but events that are to be sent yet, and too many of them",
    ),
    gauge(
        "jira_gateway_deliveries",
        "Deliveries by trigger and state.",
        "trigger",
        "state",
        look="`pending` grows, or there are `dead` ones",
    ),
    counter("jira_gateway_deliveries_sent_total", "Deliveries that succeeded.", "trigger"),
    counter("jira_gateway_delivery_failures_total", "Attempts that failed.", "trigger", look="it grows"),
    gauge(
        "jira_gateway_subscriber_failures_in_a_row",
        "Failed attempts since the last success.",
        "trigger",
        look="it is 3 or more: that subscriber does not take its events",
    ),
    gauge(
        "jira_gateway_webhook_registration_problem",
        "Whether hooks need a person.",
        "connection",
        look="it is 1; `jira-gateway triggers show` says what",
    ),
    gauge("jira_gateway_event_readers", "Readers of events."),
)

_ALERTS: Final = (
    gauge("jira_gateway_alerts_open", "Open alerts by kind, when `JIRA_GATEWAY_ALERT_URL` is set.", "kind"),
    gauge("jira_gateway_alerts_waiting", "Notices that nobody has taken yet.", look="it stays above 0"),
    counter("jira_gateway_alerts_sent_total", "Notices that were taken."),
    counter("jira_gateway_alert_failures_total", "Attempts to post one that failed.", look="it grows"),
)

TABLE: Final[Table] = (
    *_LINKS,
    *_REQUESTS,
    *_DIRECT,
    *_SURROUNDINGS,
    *_EVENTS,
    *_ALERTS,
    *program_rows(PREFIX),
)
EVERYTHING: Final[Table] = (*TABLE, *PROCESS)
"""With what the library adds to the page."""
