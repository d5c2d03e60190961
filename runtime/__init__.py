"""What both programs need to be good processes, and nothing about tunnels, HTTP or Jira.

Configuration from the environment, exit statuses, logs, the event loop, the read-only admin pages and the
control socket. Imports nothing of ours; ``agent`` and ``gateway`` import it (docs/decisions/0001-layout.md).
"""
