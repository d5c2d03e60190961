"""What Jira says when something happens, and what its search can still find of it afterwards.

Everything here is pure: `names` is the table of events, `times` reads and writes Jira's dates, `fields` reads what a
Jira claims with bounds, `occurrences` is the documented key of "the same thing happened", `reading` reads webhooks,
`sweeping` asks Jira's search, `finding` reads its answers as events, `requesting` is a request before anybody sends it.
"""
