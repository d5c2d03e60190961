"""Benchmarks: the tunnel beside `ssh -R`, to the same upstream, in one run (docs/performance.md)."""
