"""What an integration looks like: a subscriber that keeps another system in step with Jira, and how to run it."""
