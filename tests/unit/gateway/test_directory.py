"""The directory: what a token may do, where a connection leads, which certificates are refused."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretBytes, SecretStr

from gateway.directory import Directory, read_directory, secret_place, watch
from gateway.sealing import SecretKey
from gateway.store import (
    Agent,
    Connection,
    Credentials,
    Instance,
    Invite,
    Scope,
    Snapshot,
    StoreUnavailable,
    Token,
    open_store,
)
from gateway.tokens import hash_token

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = SecretKey(SecretStr("k" * 40))
ONE = Instance("acme", "one", "01", NOW, NOW + 24 * HOUR)


def directory(*, agents=(), instances=(), connections=(), tokens=()):
    return Directory(Snapshot(7, tuple(agents), tuple(instances), tuple(connections), tuple(tokens)), KEY)


def token(secret=b"jtg_one", **fields):
    return Token("ci", hash_token(secret), NOW, frozenset({"main"}), **fields)


def test_a_known_token_gives_its_grant():
    known = directory(tokens=[token(read_only=True, rate=2.0, scopes=frozenset({Scope.EVENTS}))])
    grant = known.token(b"jtg_one", NOW)

    assert grant.name == "ci"
    assert grant.connections == {"main"}
    assert grant.scopes == {Scope.EVENTS}
    assert (grant.read_only, grant.rate) == (True, 2.0)


@pytest.mark.parametrize("presented", [b"", b"jtg_two", b"jtg_one ", hash_token(b"jtg_one").encode()])
def test_an_unknown_token_gives_nothing(presented):
    assert directory(tokens=[token()]).token(presented, NOW) is None


def test_a_token_expires_at_its_moment_without_a_new_snapshot():
    known = directory(tokens=[token(expires_at=NOW + HOUR)])

    assert known.token(b"jtg_one", NOW + HOUR - timedelta(milliseconds=1)) is not None
    assert known.token(b"jtg_one", NOW + HOUR) is None


def test_a_revoked_token_gives_nothing():
    assert directory(tokens=[token(revoked_at=NOW)]).token(b"jtg_one", NOW) is None


def test_after_a_rotation_the_old_secret_lasts_for_its_overlap():
    rotated = token(b"jtg_new", previous_hash=hash_token(b"jtg_old"), previous_expires_at=NOW + HOUR)
    known = directory(tokens=[rotated])

    assert known.token(b"jtg_new", NOW + 2 * HOUR) is not None
    assert known.token(b"jtg_old", NOW) == known.token(b"jtg_new", NOW)
    assert known.token(b"jtg_old", NOW + HOUR) is None


def test_an_overlap_never_outlives_the_token():
    rotated = token(
        b"jtg_new",
        previous_hash=hash_token(b"jtg_old"),
        previous_expires_at=NOW + 2 * HOUR,
        expires_at=NOW + HOUR,
    )

    assert directory(tokens=[rotated]).token(b"jtg_old", NOW + HOUR) is None


def test_a_basic_connection_has_its_header_ready_and_unprinted():
    sealed = KEY.seal(SecretBytes("pä:ss".encode()), secret_place("main"))
    row = Connection("main", "acme", Credentials.GATEWAY, username="bot", sealed_secret=sealed)
    entry = directory(connections=[row]).connection("main")
    value = entry.authorization.get_secret_value()

    assert value == b"Basic " + base64.b64encode("bot:pä:ss".encode())
    assert value.decode() not in repr(entry)


def test_a_connection_without_user_name_is_a_bearer():
    sealed = KEY.seal(SecretBytes(b"pat"), secret_place("main"))
    row = Connection("main", "acme", Credentials.GATEWAY, sealed_secret=sealed)

    assert directory(connections=[row]).connection("main").authorization.get_secret_value() == b"Bearer pat"


@pytest.mark.parametrize("credentials", [Credentials.AGENT, Credentials.CALLER])
def test_other_credentials_never_carry_a_header(credentials):
    sealed = KEY.seal(SecretBytes(b"pat"), secret_place("main"))
    row = Connection("main", "acme", credentials, sealed_secret=sealed)

    assert directory(connections=[row]).connection("main").authorization is None


def test_one_secret_that_does_not_open_costs_only_its_own_connection():
    stolen = KEY.seal(SecretBytes(b"pat"), secret_place("other"))
    rows = [
        Connection("broken", "acme", Credentials.GATEWAY, sealed_secret=stolen),
        Connection("main", "acme", Credentials.AGENT),
    ]
    known = directory(connections=rows)

    assert known.connection("broken") is None
    assert known.connection("main").agent == "acme"
    assert [entry.name for entry in known.connections_of("acme")] == ["main"]


def test_a_direct_connection_has_no_agent():
    row = Connection("cloud", "direct", Credentials.CALLER, base_url="https://x.atlassian.net")
    entry = directory(connections=[row]).connection("cloud")

    assert (entry.agent, entry.base_url) == (None, "https://x.atlassian.net")


def test_an_enrolled_instance_may_pass():
    known = directory(agents=[Agent("acme", NOW)], instances=[ONE])

    assert not known.revoked("acme", "one", "01")
    assert known.instance("acme", "one") == ONE


def test_a_revoked_instance_may_not_and_its_sibling_may():
    two = replace(ONE, instance="two", serial="02")
    known = directory(agents=[Agent("acme", NOW)], instances=[replace(ONE, revoked_at=NOW), two])

    assert known.revoked("acme", "one", "01")
    assert known.revoked("acme", "one", "an older serial of it")
    assert not known.revoked("acme", "two", "02")


def test_a_revoked_serial_is_refused_under_any_name():
    known = directory(agents=[Agent("acme", NOW)], instances=[replace(ONE, revoked_at=NOW)])

    assert known.revoked("acme", "three", "01")


def test_a_certificate_issued_by_hand_passes_only_for_a_name_never_revoked():
    assert not directory(agents=[Agent("acme", NOW)]).revoked("acme", "by-hand", "99")
    assert directory(agents=[Agent("acme", NOW, revoked_at=NOW)]).revoked("acme", "by-hand", "99")
    assert directory().revoked("acme", "by-hand", "99")


def test_an_instance_enrolled_after_its_name_was_revoked_may_pass():
    known = directory(agents=[Agent("acme", NOW, revoked_at=NOW)], instances=[ONE])

    assert not known.revoked("acme", "one", "01")


async def test_a_change_reaches_the_watcher(tmp_path):
    seen = asyncio.Queue()
    async with open_store(tmp_path / "g.db", KEY, NOW) as store, asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        first = await read_directory(store, KEY)
        watcher = tasks.create_task(watch(store, KEY, seen.put_nowait, seen=first.version, interval=0.01))
        async with store.change("test", NOW) as change:
            await change.add_invite(Invite("a" * 64, "acme", NOW, NOW + HOUR))
        second = await seen.get()
        watcher.cancel()

    assert first.revoked("acme", "x", "1")
    assert not second.revoked("acme", "x", "1")
    assert second.version > first.version
    assert seen.empty()


async def test_the_watcher_outlives_a_store_that_cannot_be_read():
    answers = [StoreUnavailable("g.db", "disk I/O error"), StoreUnavailable("g.db", "disk I/O error"), 7]

    class Flaky:
        async def version(self):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def snapshot(self):
            return Snapshot(7, (), (), (), ())

    seen = asyncio.Queue()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(watch(Flaky(), KEY, seen.put_nowait, interval=0))
        applied = await seen.get()
        watcher.cancel()

    assert applied.version == 7
