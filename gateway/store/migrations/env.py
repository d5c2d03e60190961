"""Alembic's entry: runs the migrations on the connection and in the transaction that the store opened."""

from alembic import context

from gateway.store import event_tables, tables

assert event_tables.events.metadata is tables.metadata  # noqa: S101 - imported so that the metadata is whole
context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
