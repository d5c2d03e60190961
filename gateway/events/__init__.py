"""Jira's events on their way to subscribers (docs/events.md).

In by webhook or search, into the log, out by push or pull; `service` puts the parts together. Nothing here is on the
path of callers' requests.
"""
