"""What administrators do with the store: one function for each thing, whoever asks.

The commands call these with the store opened for one command, the management API inside the running gateway. Each
change is one transaction with its audit record. Raises gateway.store's errors, and Unacceptable for what breaks a rule.
"""
