"""Alerts for operators without Prometheus: what is wrong, told once by a signed POST, and told when it is over.

`book` decides, `facts` looks, `sender` posts, `service` runs them. docs/operations.md, Alerts without Prometheus.
"""
