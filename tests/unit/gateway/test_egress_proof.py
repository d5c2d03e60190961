"""What the echo service says is compared with what was declared; a service that is silent proves nothing."""

import ipaddress

import pytest

from gateway.egress import Egress
from gateway.egress_proof import EgressProof, read_address
from gateway.settings import GatewaySettings
from runtime.configuration import ConfigurationError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7\n", "203.0.113.7"),
        ('{"ip": "203.0.113.7"}', "203.0.113.7"),
        ('{"origin":"203.0.113.7","port":443}', "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("<html>404 not found</html>", None),
        ("", None),
        ("999.1.1.1", None),
    ],
)
def test_the_address_is_found_in_plain_and_json_answers(text, address):
    assert read_address(text) == (None if address is None else ipaddress.ip_address(address))


async def ask(tmp_path, monkeypatch, echo, **values):
    values = {"egress_ip": "127.0.0.1", "egress_check_url": "http://echo.example", **values}
    settings = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0", **values)
    made = EgressProof(settings, Egress.from_settings(settings))

    async def answer(_self, _url, _version):
        if isinstance(echo, Exception):
            raise echo
        return echo

    monkeypatch.setattr(EgressProof, "_echo", answer)
    assert made.mismatch == "the egress address is being proven"
    await made.ask()
    return made


async def test_the_declared_address_is_the_egress_address_itself_without_nat(tmp_path, monkeypatch):
    made = await ask(tmp_path, monkeypatch, "127.0.0.1")
    assert made.mismatch is None
    assert made.page()["seen"] == {"ipv4": "127.0.0.1"}


async def test_another_address_is_a_mismatch_that_names_both(tmp_path, monkeypatch):
    made = await ask(tmp_path, monkeypatch, "203.0.113.8", egress_public_ip="203.0.113.7")
    assert made.mismatch == "IPv4: the world sees 203.0.113.8, but 203.0.113.7 is declared"


@pytest.mark.parametrize("echo", [OSError("no route"), TimeoutError(), "<html>"])
async def test_a_service_that_cannot_be_asked_proves_nothing_and_blocks_nothing(tmp_path, monkeypatch, echo):
    made = await ask(tmp_path, monkeypatch, echo)
    assert made.mismatch is None
    assert made.sightings[0].problem


async def test_a_change_is_logged_once(tmp_path, monkeypatch, capsys):
    made = await ask(tmp_path, monkeypatch, "203.0.113.8")
    await made.ask()
    assert capsys.readouterr().out.count("egress_checked") == 1


def test_without_a_check_url_nothing_is_waited_for(tmp_path):
    settings = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0")
    assert EgressProof(settings, Egress.from_settings(settings)).mismatch is None


@pytest.mark.parametrize(
    "values", [{"egress_check_url": "http://echo.example"}, {"egress_check_url": "x", "egress_ip": "127.0.0.1"}]
)
def test_a_check_that_could_prove_nothing_is_a_configuration_error(tmp_path, values):
    settings = GatewaySettings(state_dir=tmp_path, tunnel_listen="127.0.0.1:0", **values)
    with pytest.raises(ConfigurationError):
        EgressProof(settings, Egress.from_settings(settings))
