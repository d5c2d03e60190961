"""HTTP/1.1 at both ends of the tunnel: strict parsing on httptools, streaming with back-pressure, nothing hidden.

server.py is the front door's half, client.py the half towards an upstream server; messages.py and errors.py are what
both speak. Everything below them is pure. This package imports nothing of ours.
"""
