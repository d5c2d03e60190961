"""Every metric of the agent: its name, what it says, its labels, and when to look. Pure data.

docs/metrics.md is made from it by `make docs`. The numbers come from agent/metrics.py. Labels have few values.
"""

from typing import Final

from runtime.metrics import PROCESS, Table, counter, gauge, histogram, program_rows

PREFIX: Final = "jira_agent"

_LINKS: Final = (
    gauge("jira_agent_links_up", "Links that take requests.", look="it is 0, or stays below `jira_agent_links_wanted`"),
    gauge("jira_agent_links_wanted", "Links that there should be."),
    counter("jira_agent_links_opened_total", "Links opened since the start.", look="it grows often: links flap"),
    counter(
        "jira_agent_link_dial_failures_total",
        "Tries to open a link that failed, by cause.",
        "cause",
        look="it grows; `jira-agent status` says what to do",
    ),
    gauge(
        "jira_agent_link_round_trip_seconds",
        "Round trip of each link.",
        "link",
        look="it is much longer than it was",
    ),
    gauge(
        "jira_agent_credit_granted_bytes",
        "Bytes that peers may have us hold.",
        look="with those that wait it stays near `jira_agent_memory_budget_bytes`",
    ),
    gauge(
        "jira_agent_waiting_bytes",
        "Bytes of Jira's answers that wait to be sent.",
        look="it stays high: callers, or the line, are slow",
    ),
    gauge("jira_agent_memory_budget_bytes", "`JIRA_AGENT_MEMORY_BUDGET_BYTES`."),
    counter("jira_agent_link_received_bytes_total", "Bytes of messages from gateways."),
    counter("jira_agent_link_sent_bytes_total", "Bytes of messages to gateways."),
    counter(
        "jira_agent_window_blocked_seconds_total",
        "For how long answers had bytes to send and no credit, all together.",
        look="its rate stays above 1: callers are slower than Jira",
    ),
    gauge(
        "jira_agent_outbox_bytes",
        "Bytes that wait to be sent to gateways, by lane; blocked: their stream has no credit.",
        "lane",
        look="it stays high: the line is the bottleneck",
    ),
)

_REQUESTS: Final = (
    counter(
        "jira_agent_requests_total",
        "Requests of the gateway by outcome: answered, rate_limited, or why not.",
        "outcome",
        look="another outcome than `answered` grows",
    ),
    histogram(
        "jira_agent_request_duration_seconds",
        "How long requests took here: until they had a place (queue), and until Jira's answer began (jira).",
        "phase",
        look="the share above what callers can bear grows; the phase says where",
    ),
    counter("jira_agent_policy_denials_total", "Requests that the policy refused.", look="it grows: who wants what?"),
    gauge("jira_agent_requests_in_flight", "Requests at Jira now."),
    gauge("jira_agent_requests_waiting", "Requests that wait for a place.", look="it is above 0 for long"),
    gauge("jira_agent_requests_limit", "Requests that may be at Jira now.", look="it is low: Jira is in trouble"),
)

_JIRA: Final = (
    gauge("jira_agent_jira_up", "Whether Jira answered the last probe.", look="it is 0"),
    gauge(
        "jira_agent_jira_unavailable",
        "Whether nothing is sent to Jira until a probe succeeds.",
        look="it is 1",
    ),
    gauge(
        "jira_agent_logins_refused",
        "Stored logins that are not used any more.",
        look="it is not 0: Jira refused a login; `jira-agent status` says which",
    ),
    gauge(
        "jira_agent_paused",
        "Whether the administrator has paused this agent.",
        look="it is 1 and nobody remembers why; `jira-agent resume` ends it",
    ),
    gauge("jira_agent_read_only", "Whether the administrator lets only reads pass."),
    counter("jira_agent_audit_entries_total", "Entries written to the audit log since the start."),
    counter(
        "jira_agent_audit_lost_total",
        "Entries of the audit log that could not be written.",
        look="it grows: requests go on without a trace",
    ),
    gauge("jira_agent_audit_ok", "Whether the audit log can be written.", look="it is 0: usually the disk is full"),
    gauge("jira_agent_audit_ok", "Whether the audit log can be written.", look="it is 0: the disk is full or broken"),
    counter("jira_agent_audit_written_total", "Entries of the audit log."),
    counter(
        "jira_agent_audit_lost_total", "Entries that could not be written.", look="it grows: requests went on without"
    ),
    gauge(
        "jira_agent_policy_reload_ok",
        "Whether the last reload succeeded.",
        look="it is 0: the old policy is in force",
    ),
    gauge(
        "jira_agent_certificate_expiry_timestamp_seconds",
        "Until when a certificate is valid: of the agent, of the gateway's ca, and of the webhook listener.",
        "certificate",
        look="it is less than two days away (ca: 30 days)",
    ),
)

_WEBHOOKS: Final = (
    gauge("jira_agent_spool_events", "Webhooks on the disk.", look="it grows: no gateway takes what Jira sends"),
    gauge("jira_agent_spool_bytes", "Bytes that they count.", look="it comes near `jira_agent_spool_limit_bytes`"),
    gauge("jira_agent_spool_limit_bytes", "`JIRA_AGENT_SPOOL_MAX_BYTES`."),
    gauge(
        "jira_agent_spool_oldest_age_seconds",
        "How long the oldest of them has waited; 0 when there is none.",
        look="it grows: no gateway takes what Jira sends",
    ),
    gauge(
        "jira_agent_spool_ok",
        "Whether the spool takes webhooks.",
        look="it is 0: webhooks are refused; /status has the reason",
    ),
    gauge("jira_agent_webhook_hooks", "Hooks whose webhooks are accepted."),
    counter("jira_agent_webhooks_received_total", "Webhooks acknowledged to Jira."),
    counter(
        "jira_agent_webhooks_refused_total",
        "Requests to the webhook listener that were refused.",
        "reason",
        look="it grows for another reason than `unknown_hook`: those webhooks are looked for later",
    ),
    counter("jira_agent_events_carried_total", "Webhooks and gaps that a gateway has."),
    counter(
        "jira_agent_events_dropped_total",
        "Webhooks that no gateway will ever take.",
        "reason",
        look="it grows: the hook is gone, or its signature is wrong",
    ),
)

TABLE: Final[Table] = (*_LINKS, *_REQUESTS, *_JIRA, *_WEBHOOKS, *program_rows(PREFIX))
EVERYTHING: Final[Table] = (*TABLE, *PROCESS)
"""With what the library adds to the page."""
