"""The protocol between agent and gateway (docs/protocol.md).

Pure but for link.py: no asyncio, sockets, clocks or randomness anywhere else (tests/test_architecture.py).
"""
