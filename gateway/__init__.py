"""The gateway: callers on one side, agents' links on the other, and the store of who may do what.

Runs in the cloud. Never imports ``agent`` (tests/test_architecture.py).
"""
