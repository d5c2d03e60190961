import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runtime.address import Address
from runtime.exits import UNAVAILABLE, CommandFailed
from runtime.healthcheck import ask_health
from tests.support.ports import free_port


@pytest.fixture
def served():
    """Serve one status to every GET, and yield (address, set the status, paths asked)."""
    answer = {"status": 200}
    paths = []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(answer["status"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, answer, paths
        server.shutdown()
        thread.join()


def test_a_program_that_answers_ok_lives_also_when_it_listens_everywhere(served):
    port, _, paths = served
    ask_health(Address("127.0.0.1", port))
    ask_health(Address("0.0.0.0", port))
    assert paths == ["/healthz", "/healthz"]


def test_another_status_is_no_health(served):
    port, answer, _ = served
    answer["status"] = 503
    with pytest.raises(CommandFailed, match="answered 503") as failed:
        ask_health(Address("127.0.0.1", port))
    assert failed.value.status == UNAVAILABLE


def test_nothing_there_is_no_health():
    with pytest.raises(CommandFailed, match=r"nothing healthy on .*refused") as failed:
        ask_health(Address("127.0.0.1", free_port()))
    assert failed.value.status == UNAVAILABLE
