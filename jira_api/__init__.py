"""What we know about Jira, and nothing about tunnels.

Policies (`rules`, `profiles`, `query`, `webhook_registration`), headers (`headers`), absolute links in answers
(`links`) and what a Jira says about itself (`server_info`). Nothing here opens a socket or imports anything of ours.
"""
