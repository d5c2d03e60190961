"""Who knocks at a listener that is about to close is refused; who has just been let in is not cut off. Real sockets."""

import socket
import threading

import pytest

from runtime.listening import drop_newcomers


def test_newcomers_are_refused_once_it_is_closed_and_nobody_is_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with socket.create_connection(address, timeout=5) as early:
            drop_newcomers(listening.fileno())
            taken, _ = listening.accept()
            with taken:
                early.sendall(b"request")
                assert taken.recv(100) == b"request"
                taken.sendall(b"answer")
                assert early.recv(100) == b"answer"
            closing = threading.Timer(0.2, listening.close)
            closing.start()
            with pytest.raises(ConnectionRefusedError):  # by the second try of its own system, a second later
                socket.create_connection(address, timeout=10)
            closing.join()
