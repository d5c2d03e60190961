"""The schema's history, run by `gateway.store.engine` when a store is opened."""
