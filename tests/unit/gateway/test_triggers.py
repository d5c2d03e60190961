"""Triggers and hooks in memory: found by hash, by hook, by name, with their secrets opened."""

from datetime import timedelta
from hashlib import sha256

import pytest
from pydantic import SecretBytes

from gateway.store import Connection, Credentials, Kind, Way
from gateway.store.trigger_changes import server_of
from gateway.triggers import trigger_place
from tests.support.subscriptions import HOOK_ID, KEY, NOW, SECRET, SIGNING, make_directory, make_hook, make_trigger


def test_a_hook_is_found_by_the_hash_of_its_id_alone():
    subscriptions = make_directory(make_hook()).subscriptions
    hook = subscriptions.hook(sha256(HOOK_ID.encode()).hexdigest())

    assert hook is not None
    assert (hook.connection, hook.agent) == ("hq", "headquarters")
    assert hook.hook_id.get_secret_value() == HOOK_ID
    assert hook.secret.get_secret_value() == SECRET
    assert subscriptions.hook(HOOK_ID) is None
    assert HOOK_ID not in repr(hook)
    assert SECRET not in repr(hook)


def test_a_hook_feeds_its_triggers_but_not_the_polled_ones():
    triggers = [make_trigger(1, "one"), make_trigger(2, "two"), make_trigger(3, "three", hook=None)]
    polled = make_trigger(4, "four", kind=Kind.POLLED)
    subscriptions = make_directory(make_hook(), *triggers, polled).subscriptions

    assert [trigger.name for trigger in subscriptions.of_hook(1)] == ["one", "two"]
    assert subscriptions.of_hook(2) == ()


def test_a_trigger_is_found_by_name_and_by_number():
    subscriptions = make_directory(make_trigger(7, "sync")).subscriptions
    assert subscriptions.trigger("sync") is subscriptions.trigger(7)
    assert subscriptions.trigger("other") is None
    assert [trigger.id for trigger in subscriptions.of_connection("hq")] == [7]
    assert subscriptions.of_connection("elsewhere") == []


def test_an_agent_is_told_the_hashes_of_its_own_hooks_in_its_network_only():
    branch = Connection("branch", "office", Credentials.AGENT)
    hq = Connection("hq", "headquarters", Credentials.AGENT)
    own, open_one = make_hook(1), make_hook(2, "b" * 43, way=Way.INTERNET)
    other = make_hook(3, "c" * 43, connection="branch")
    subscriptions = make_directory(hq, branch, own, open_one, other).subscriptions

    assert subscriptions.hashes_of("headquarters") == [sha256(HOOK_ID.encode()).digest()]
    assert subscriptions.hashes_of("office") == [sha256(b"c" * 43).digest()]


def test_both_secrets_sign_until_the_old_one_ends():
    old = KEY.seal(SecretBytes(b"whsec_b2xk"), trigger_place("sync"))
    trigger = make_trigger(sealed_previous=old, previous_until=NOW + timedelta(hours=1))
    entry = make_directory(trigger).subscriptions.trigger("sync")

    assert entry is not None
    assert [secret.get_secret_value() for secret in entry.secrets(NOW)] == [SIGNING, "whsec_b2xk"]
    assert [secret.get_secret_value() for secret in entry.secrets(NOW + timedelta(hours=1))] == [SIGNING]


def test_what_was_sealed_for_another_place_is_left_out_and_does_not_harm_the_rest():
    foreign = make_trigger(2, "foreign", sealed_secret=KEY.seal(SecretBytes(b"x"), "elsewhere"))
    subscriptions = make_directory(make_trigger(1, "own"), foreign).subscriptions
    assert [trigger.name for trigger in subscriptions.triggers] == ["own"]


@pytest.mark.parametrize(
    "url", ["https://ci.example.com", "https://ci.example.com/a/b?c=d", "https://ci.example.com?c=d"]
)
def test_of_a_delivery_address_people_and_the_trail_see_the_server(url):
    assert server_of(url) == "https://ci.example.com/…"
    assert url not in repr(make_trigger(deliver_to=url))
