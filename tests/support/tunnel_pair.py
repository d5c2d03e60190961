"""Two sessions back to back without any I/O, and a receiver that writes down what it hears."""

from tunnel.budget import Budget
from tunnel.session import Role, Session


class Recorder:
    """A StreamReceiver; `calls` is what it was told, in order."""

    def __init__(self, stream=None, *, consumes=True):
        self.stream = stream
        self.consumes = consumes
        self.calls = []

    def on_response(self, head):
        self.calls.append(("response", head))

    def on_data(self, data):
        self.calls.append(("data", data))
        if self.consumes:
            self.stream.consume(len(data))

    def on_end(self, trailers):
        self.calls.append(("end", trailers))

    def on_reset(self, code, progress, detail):
        self.calls.append(("reset", code, progress, detail))

    def on_writable(self):
        self.calls.append(("writable",))

    @property
    def body(self):
        return b"".join(call[1] for call in self.calls if call[0] == "data")


class Pair:
    """A gateway's and an agent's session that have greeted each other; the agent accepts everything."""

    def __init__(self, **options):
        self.now = 0.0
        self.accepted = []
        self.gateway = Session(Role.GATEWAY, budget=options.pop("budget", None) or Budget(), clock=lambda: self.now)
        self.agent = Session(Role.AGENT, budget=Budget(), clock=lambda: self.now, **options)
        self.agent.accept = self._accept
        self.settle()

    def _accept(self, stream, _head):
        self.accepted.append(Recorder(stream))
        return self.accepted[-1]

    def open(self, head, *, consumes=True):
        receiver = Recorder(consumes=consumes)
        receiver.stream = self.gateway.open_stream(head, receiver)
        self.settle()
        return receiver

    def settle(self):
        """Deliver until both are silent; returns the messages that went over."""
        messages = []
        while True:
            out, back = self.gateway.take_message(), self.agent.take_message()
            if out:
                self.agent.receive(out)
            if back:
                self.gateway.receive(back)
            if not out and not back:
                return messages
            messages += [message for message in (out, back) if message]
