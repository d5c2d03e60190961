"""Benchmarks across an emulated WAN: gateway and callers on one end, agent and upstream on the other."""
