"""Streams that an agent opens are refused without harm to its link."""

from gateway.agent_streams import refuse_stream
from tests.support.tunnel_pair import Pair, Recorder
from tunnel.errors import ErrorCode, Progress
from tunnel.heads import RequestHead


def test_a_stream_of_an_agent_is_refused_and_the_link_lives():
    pair = Pair()
    pair.gateway.accept = refuse_stream
    receiver = Recorder()
    receiver.stream = pair.agent.open_stream(RequestHead(b"POST", b"/hooks", [], body=3), receiver)
    receiver.stream.send_data(b"abc", end=True)
    pair.settle()

    [(kind, code, progress, detail)] = receiver.calls
    assert (kind, code, progress) == ("reset", ErrorCode.BAD_REQUEST, Progress.NOT_SENT)
    assert detail
    assert pair.gateway.is_usable
    assert (pair.gateway.streams, pair.agent.streams) == (0, 0)
    assert pair.gateway.budget.granted == 0
