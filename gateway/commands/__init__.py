"""The commands of `jira-gateway`, one module for each kind of thing; `gateway.__main__` puts them together.

They work on the store, with the gateway running or not. Only typer and the standard library are imported at
the top of these modules: `--help` and `version` must not wait for a database library.
"""
