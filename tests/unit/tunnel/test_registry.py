"""Open streams and the ids of both sides."""

import pytest

from tunnel.errors import RemoteProtocolError
from tunnel.frames import MAX_STREAM_ID
from tunnel.registry import OpenStreams


class Stub:
    def __init__(self, stream_id):
        self.id = stream_id


def test_streams_are_counted_by_who_opened_them():
    streams = OpenStreams(2)
    streams.add_own(Stub(2))
    streams.last_peer_id = 1
    streams.add_peer(Stub(1))
    assert (streams.own, streams.peers, len(streams), streams.next_id) == (1, 1, 2, 4)
    for stream in streams:
        streams.remove(stream)
    assert (streams.own, streams.peers) == (0, 0)


def test_a_closed_stream_is_none_and_one_that_never_was_is_an_error():
    streams = OpenStreams(1)
    streams.add_own(Stub(1))
    streams.remove(streams.find(1))
    streams.last_peer_id = 6
    assert streams.find(1) is streams.find(6) is streams.find(2) is None
    for never in (0, 3, 8):
        with pytest.raises(RemoteProtocolError):
            streams.find(never)
    assert streams.ignored_frames == 3


def test_ids_end():
    streams = OpenStreams(2)
    streams.next_id = MAX_STREAM_ID - 1
    assert not streams.is_exhausted
    streams.add_own(Stub(streams.next_id))
    assert streams.is_exhausted
