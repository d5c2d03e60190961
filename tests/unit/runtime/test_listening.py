"""Which listener gets which of systemd's sockets, and what is said when they disagree with the settings."""

import socket

import pytest

from runtime.address import Address
from runtime.configuration import ConfigurationError
from runtime.listening import share

API, TUNNEL = "API_LISTEN", "TUNNEL_LISTEN"
WANTED = {API: Address("127.0.0.1", 8080), TUNNEL: Address("0.0.0.0", 8443)}


class Held:
    """As much of a socket as counts here."""

    def __init__(self, host, port, *more):
        self.name = (host, port, *more)

    def getsockname(self):
        return self.name


def test_without_systemd_every_listener_binds_its_own():
    places = share([], WANTED)
    assert places[API].options() == {"host": "127.0.0.1", "port": 8080}
    assert places[TUNNEL].options() == {"host": "0.0.0.0", "port": 8443}


def test_sockets_are_found_by_their_addresses_in_any_order():
    tunnel, api = Held("0.0.0.0", 8443), Held("127.0.0.1", 8080)
    places = share([tunnel, api], WANTED)
    assert (places[API].held, places[TUNNEL].held) == (api, tunnel)


def test_one_listener_may_bind_its_own():
    api = Held("127.0.0.1", 8080)
    places = share([api], WANTED)
    assert places[API].held is api
    assert places[TUNNEL].held is None


def test_addresses_are_compared_and_not_texts():
    six = Held("::1", 8080, 0, 0)
    assert share([six], {API: Address("0:0:0:0:0:0:0:1", 8080)})[API].held is six


@pytest.mark.parametrize(
    "held", [Held("0.0.0.0", 8080), Held("127.0.0.1", 8081), Held("::", 8080, 0, 0)], ids=lambda held: str(held.name)
)
def test_a_socket_that_no_setting_names_is_told_with_the_setting_that_could(held):
    with pytest.raises(ConfigurationError) as failed:
        share([held, Held("0.0.0.0", 8443)], WANTED)
    assert failed.value.variable == API
    assert str(Address(*held.name[:2])) in failed.value.problem
    assert "ListenStream=" in failed.value.fix


def test_what_a_listener_closes_is_not_systemds_socket():
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = Address(*held.getsockname())
        own = share([held], {API: address})[API].options()["sock"]
        own.close()
        with socket.create_connection(held.getsockname(), timeout=5):
            held.accept()[0].close()
