"""Whatever a load balancer, or somebody who pretends to be one, sends: an address, or one kind of refusal."""

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy_protocol import SIGNATURE, ProxyHeader, ProxyHeaderRejected, read_header

PORTS = b"\x9c\x40\x01\xbb"
NOTES = st.binary(max_size=64)


@given(data=st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda rest: SIGNATURE + rest)))
def test_any_bytes_are_read_or_refused(data):
    try:
        header = read_header(data)
    except ProxyHeaderRejected:
        return
    assert 16 <= header.length <= len(data)
    assert header.caller is None or str(ipaddress.ip_address(header.caller)) == header.caller


@given(source=st.ip_addresses(), target=st.ip_addresses(), notes=NOTES, rest=NOTES)
def test_what_a_load_balancer_writes_is_read_back(source, target, notes, rest):
    family = 0x11 if source.version == 4 else 0x21
    target = target if target.version == source.version else source
    content = source.packed + target.packed + PORTS + notes
    data = SIGNATURE + bytes([0x21, family]) + struct.pack("!H", len(content)) + content
    mapped = getattr(source, "ipv4_mapped", None)
    assert read_header(data + rest) == ProxyHeader(len(data), str(mapped or source))
