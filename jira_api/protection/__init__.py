"""How a Jira is protected from the load that passes through us, and its logins from being hammered.

`protection.Protection` is the one door towards a Jira: an adaptive limit of requests in flight (`concurrency`) behind a
queue that is fair to callers (`fair_queue`), a breaker for a Jira that hangs or refuses (`breaker`), and what is known
of each login (`accounts`): refused, not proven yet, told to wait (`rate_limits`). Pure and synchronous: clocks come in.
"""
