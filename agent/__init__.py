"""The on-premise side: dials the gateway and carries its requests to Jira, as far as policy allows.

Data path: supervisor -> dialer -> tunnel.Link -> carriage -> http1.ClientPool -> Jira. `app` puts the
parts together. Nothing here knows the gateway's code, and nothing here issues certificates.
"""
