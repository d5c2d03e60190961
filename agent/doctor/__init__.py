"""``jira-agent doctor``: looks at everything that a working agent needs, one function per check.

Owns the checks, their order, and what each of them needs. Changes nothing, and works with the agent running or not,
enrolled or not. Prints nothing: that is agent.commands.doctor's.
"""
