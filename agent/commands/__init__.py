"""The commands of ``jira-agent``. Each module imports what it needs when it runs, so that `version` answers at once."""
