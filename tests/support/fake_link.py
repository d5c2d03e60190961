"""A link, its streams and a caller's exchange without any I/O: each checks the rules that its real one has."""

from datetime import UTC, datetime
from types import SimpleNamespace

from certs.identity import AgentIdentity
from gateway.registry import AgentLink
from http1.messages import NO_BODY, RequestHead
from tunnel.budget import HIGH_WATER
from tunnel.errors import Progress, StreamRefused
from tunnel.traffic import Traffic


class FakeStream:
    """A gateway's end of a stream. The test plays the agent through `receiver`."""

    def __init__(self, link, head, receiver):
        self.link = link
        self.head = head
        self.receiver = receiver
        self.sent = b""
        self.ended = head.body in {NO_BODY, 0}
        self.trailers = None
        self.queued_bytes = 0
        self.is_choked = False
        self.delivered = 0
        self.consumed = 0
        self.resets = []
        self.is_closed = False
        self.progress = Progress.NOT_SENT

    def send_data(self, data, *, end=False):
        if self.is_closed:
            return
        assert not self.ended, "data after the end"
        self.sent += data
        self.queued_bytes += len(data)
        self.is_choked = self.queued_bytes > HIGH_WATER
        self.ended = end

    def send_end(self, trailers=None):
        if self.is_closed:
            return
        assert not self.ended, "ended twice"
        self.ended = True
        self.trailers = trailers

    def consume(self, size):
        self.consumed += size
        assert self.consumed <= self.delivered, "more credit than was delivered"

    def reset(self, code, progress=Progress.SENT, detail=""):
        if not self.is_closed:
            self.resets.append(code)
            self.is_closed = True

    # What the agent does

    def respond(self, head):
        self.progress = Progress.ANSWERED
        self.receiver.on_response(head)

    def deliver(self, data):
        self.delivered += len(data)
        self.receiver.on_data(data)

    def end(self, trailers=()):
        if self.ended:
            self.is_closed = True
        self.receiver.on_end(list(trailers))

    def lose(self, code, progress, detail=""):
        self.is_closed = True
        self.receiver.on_reset(code, progress, detail)


class FakeLink:
    """A link that opens `FakeStream`s; `refuses` is the code with which it does not."""

    def __init__(self, load=0):
        self.load = load
        self.is_usable = True
        self.rtt = None
        self.software = "jira-agent/test"
        self.refuses = None
        self.opened = []
        self.traffic = Traffic()

    def waiting_bytes(self):
        return (0, 0, 0, 0, 0)

    @property
    def streams(self):
        return sum(not stream.is_closed for stream in self.opened)

    def open_stream(self, head, receiver):
        if self.refuses is not None:
            raise StreamRefused(self.refuses)
        self.opened.append(FakeStream(self, head, receiver))
        return self.opened[-1]


def agent_link(name="hq", instance="i1", load=0, **settings):
    """Return an AgentLink on a FakeLink."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = SimpleNamespace(identity=AgentIdentity(name, instance), serial=0xAB, not_after=moment)
    made = AgentLink(certificate, FakeLink(load), "10.0.0.1", moment)
    made.announce({key.replace("_", "-").encode(): value for key, value in settings.items()})
    return made


class FakeExchange:
    """A caller's end of a request."""

    def __init__(self, method=b"GET", target=b"/", headers=(), body=NO_BODY, host=b"gw"):
        self.request = RequestHead(method, target, list(headers), body, host=host)
        self.peer = "10.9.9.9"
        self.writable = True
        self.status = None
        self.headers = []
        self.body = None
        self.written = b""
        self.trailers = None
        self.state = "open"
        self.paused = False
        self.received = 0
        self.sent = 0
        self.is_rejected = False

    @property
    def is_over(self):
        return self.state != "open"

    @property
    def responded(self):
        return self.status is not None

    def respond(self, status, headers, body):
        assert self.status is None, "two heads"
        if self.state == "open":
            self.status, self.headers, self.body = status, dict(headers), body

    def write(self, data):
        assert self.status is not None, "a body without a head"
        assert self.state in {"open", "gone"}, f"written after {self.state}"
        self.written += data

    def finish(self, trailers=()):
        assert self.state == "open", f"finished after {self.state}"
        self.state, self.trailers = "finished", list(trailers)

    def abort(self):
        assert self.state == "open", f"aborted after {self.state}"
        self.state = "aborted"

    def pause_body(self):
        self.paused = True

    def resume_body(self):
        self.paused = False
