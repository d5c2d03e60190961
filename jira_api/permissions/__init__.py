"""What an account may do in Jira and why not: the table of actions, how Jira's answers are read, and the judgement.

Everything here is pure: `actions` is the table, `inquiry` says what to ask Jira, `account` reads the answers,
`judgement` draws the conclusions, `causes` explains one answer of Jira afterwards.
"""
