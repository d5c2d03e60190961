"""The store: rows survive, changes are whole, codes work once, schemas and keys are checked."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from gateway.sealing import SecretKey, WrongSecretKey
from gateway.store import (
    AlreadyExists,
    Connection,
    Credentials,
    Instance,
    InUse,
    Invite,
    InviteRejected,
    NotFound,
    SchemaTooNew,
    Scope,
    StoreUnavailable,
    Token,
    database_path,
    open_store,
)
from gateway.store.engine import REVISIONS
from runtime.configuration import ConfigurationError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = SecretKey(SecretStr("k" * 40))


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "state" / "gateway.db", KEY, NOW) as store:
        yield store


def invite(agent="acme", secret="a" * 64, **fields):
    return Invite(secret, agent, NOW, NOW + timedelta(hours=1), **fields)


def instance(agent="acme", name="one", serial="01"):
    return Instance(agent, name, serial, NOW, NOW + timedelta(days=7))


def connection(name="main", **fields):
    return Connection(name, **{"via": "acme", "credentials": Credentials.AGENT, **fields})


def token(name="ci", **fields):
    return Token(name, **{"secret_hash": f"hash of {name}", "created_at": NOW, **fields})


async def seed(store):
    async with store.change("test", NOW) as change:
        await change.add_invite(invite())
        await change.add_connection(connection())
        await change.add_connection(connection("second"))
        await change.add_token(token(connections=frozenset({"main"})))


async def test_files_are_private(store, tmp_path):
    await seed(store)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes["gateway.db"] == 0o600
    assert modes["gateway.db-wal"] == 0o600
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


async def test_every_database_session_is_durable_and_checks_foreign_keys(store):
    async with store._engine.begin() as db:
        values = [
            await db.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert values == ["wal", 2, 1, 10000]


async def test_rows_come_back_as_they_went_in(store):
    sealed = connection(
        "direct",
        via="direct",
        base_url="https://x.atlassian.net",
        credentials=Credentials.GATEWAY,
        username="bot",
        sealed_secret=b"\x00\xff",
        rewrite_links=False,
        timeout_seconds=2.5,
        ca_pem="PEM",
    )
    full = token(
        "full",
        connections=frozenset({"direct"}),
        scopes=frozenset({Scope.CALL, Scope.ADMIN}),
        read_only=True,
        rate=2.5,
        expires_at=NOW + timedelta(days=90),
    )
    async with store.change("test", NOW) as change:
        await change.add_connection(sealed)
        await change.add_token(full)
        await change.add_invite(invite())
        await change.add_instance(instance())

    assert await store.connections() == [sealed]
    assert await store.tokens() == [full]
    assert await store.invites() == [invite()]
    assert await store.instances() == [instance()]


async def test_rows_survive_a_new_process(tmp_path):
    path = tmp_path / "gateway.db"
    async with open_store(path, KEY, NOW) as store:
        await seed(store)
    async with open_store(path, KEY, NOW) as store:
        assert [row.name for row in await store.connections()] == ["main", "second"]


async def test_a_change_that_raises_leaves_nothing(store):
    before = await store.version()

    async def fail_at_the_end():
        async with store.change("test", NOW) as change:
            await change.add_invite(invite())
            await change.add_connection(connection())
            await change.add_connection(connection())

    with pytest.raises(AlreadyExists):
        await fail_at_the_end()

    assert await store.agents() == []
    assert await store.connections() == []
    assert await store.version() == before


async def test_each_change_raises_the_version_that_others_see(store, tmp_path):
    async with open_store(tmp_path / "state" / "gateway.db", KEY, NOW) as other:
        before = await other.version()
        await seed(store)

        assert await other.version() == before + 1
        assert (await other.snapshot()).version == before + 1


async def test_one_code_enrolls_one_of_a_hundred_at_once(store, tmp_path):
    """Fifty tries each from two independently opened stores, as two processes would."""
    await seed(store)
    won, lost = [], []

    async def attempt(mine):
        try:
            async with mine.change("enrolment", NOW) as change:
                won.append(await change.use_invite("a" * 64))
        except InviteRejected:
            lost.append(1)

    async with open_store(tmp_path / "state" / "gateway.db", KEY, NOW) as other, asyncio.TaskGroup() as tasks:
        for index in range(100):
            tasks.create_task(attempt(store if index % 2 else other))

    assert won == ["acme"]
    assert len(lost) == 99


@pytest.mark.parametrize("late", [timedelta(hours=1), timedelta(days=1)])
async def test_an_expired_code_is_refused(store, late):
    await seed(store)
    with pytest.raises(InviteRejected):
        async with store.change("enrolment", NOW + late) as change:
            await change.use_invite("a" * 64)


async def test_revoking_a_name_revokes_its_instances_and_its_codes(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.add_instance(instance())
        assert await change.revoke_agent("acme") == 1

    assert [row.revoked_at for row in await store.agents()] == [NOW]
    assert [row.revoked_at for row in await store.instances()] == [NOW]
    assert await store.invites() == []


async def test_revoking_an_instance_spares_the_others(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.add_instance(instance())
        await change.add_instance(instance(name="two", serial="02"))
        await change.revoke_instance("acme", "one")

    assert [row.revoked_at for row in await store.instances()] == [NOW, None]
    with pytest.raises(NotFound):
        async with store.change("test", NOW) as change:
            await change.revoke_instance("acme", "one")


async def test_a_revoked_instance_cannot_renew(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.add_instance(instance())
        await change.renew_instance("acme", "one", "02", NOW + timedelta(days=9))
        assert (await store_row(change)).serial == "02"
        await change.revoke_instance("acme", "one")
    with pytest.raises(NotFound):
        async with store.change("test", NOW) as change:
            await change.renew_instance("acme", "one", "03", NOW)


async def store_row(change):
    from gateway.store import queries

    return (await queries.instances(change._db))[0]


async def test_a_connection_needs_an_agent_that_was_invited(store):
    with pytest.raises(NotFound) as caught:
        async with store.change("test", NOW) as change:
            await change.add_connection(connection(via="nobody"))

    assert (caught.value.kind, caught.value.name) == ("agent", "nobody")


async def test_a_token_needs_its_connections(store):
    with pytest.raises(NotFound) as caught:
        async with store.change("test", NOW) as change:
            await change.add_token(token(connections=frozenset({"ghost"})))

    assert (caught.value.kind, caught.value.name) == ("connection", "ghost")


async def test_updating_replaces_the_connection_and_names_what_changed(store):
    await seed(store)
    changed = connection(timeout_seconds=5.0, sealed_secret=b"secret")
    async with store.change("test", NOW) as change:
        await change.update_connection(changed)

    assert (await store.connections())[0] == changed
    last = [record async for record in store.audit()][-1]
    assert last.detail == '{"changed":["sealed_secret","timeout_seconds"],"timeout_seconds":5.0}'


async def test_a_connection_in_use_stays_unless_forced(store):
    await seed(store)
    with pytest.raises(InUse) as caught:
        async with store.change("test", NOW) as change:
            await change.remove_connection("main")
    async with store.change("test", NOW) as change:
        await change.remove_connection("main", force=True)

    assert caught.value.users == ("ci",)
    assert [row.connections for row in await store.tokens()] == [frozenset()]


async def test_a_connection_that_returns_is_not_reached_by_old_tokens(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.remove_connection("main", force=True)
        await change.add_connection(connection())

    assert [row.connections for row in await store.tokens()] == [frozenset()]


async def test_rotation_can_keep_the_old_secret_for_a_while(store):
    await seed(store)
    until = NOW + timedelta(hours=1)
    async with store.change("test", NOW) as change:
        await change.rotate_token("ci", "new hash", expires_at=None, keep_until=until)

    row = (await store.tokens())[0]
    assert (row.secret_hash, row.previous_hash, row.previous_expires_at) == ("new hash", "hash of ci", until)


async def test_rotation_without_overlap_forgets_the_old_secret(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.rotate_token("ci", "new hash", expires_at=NOW, keep_until=NOW)
        await change.rotate_token("ci", "newest hash", expires_at=None, keep_until=None)

    row = (await store.tokens())[0]
    assert (row.secret_hash, row.previous_hash, row.previous_expires_at) == ("newest hash", None, None)


async def test_the_name_of_a_revoked_token_can_be_used_again(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.revoke_token("ci")
        await change.add_token(token(secret_hash="another"))

    assert await store.tokens() == [token(secret_hash="another")]


async def test_the_audit_trail_holds_every_change_and_no_secret(store):
    await seed(store)
    async with store.change("test", NOW) as change:
        await change.update_connection(connection(sealed_secret=b"sealed", credentials=Credentials.GATEWAY))
        await change.rotate_token("ci", "new hash", expires_at=None, keep_until=None)
        await change.revoke_token("ci")
        await change.remove_connection("main", force=True)
        await change.revoke_agent("acme")

    trail = [record async for record in store.audit()]
    assert [(record.seq, record.action, record.subject) for record in trail] == [
        (1, "agent.invite", "acme"),
        (2, "connection.add", "main"),
        (3, "connection.add", "second"),
        (4, "token.create", "ci"),
        (5, "connection.update", "main"),
        (6, "token.rotate", "ci"),
        (7, "token.revoke", "ci"),
        (8, "connection.remove", "main"),
        (9, "agent.revoke", "acme"),
    ]
    assert {record.actor for record in trail} == {"test"}
    assert not any(word in record.detail for record in trail for word in ("hash", 'sealed_secret":"', "a" * 64))
    assert (await store.verify_audit()).count == 9


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "gateway.db"
    async with open_store(path, KEY, NOW):
        pass
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(SchemaTooNew) as caught:
        async with open_store(path, KEY, NOW):
            pass

    assert (caught.value.found, caught.value.known) == ("9999", REVISIONS[-1])


async def test_another_secret_key_is_refused(tmp_path):
    path = tmp_path / "gateway.db"
    async with open_store(path, KEY, NOW):
        pass
    with pytest.raises(WrongSecretKey):
        async with open_store(path, SecretKey(SecretStr("x" * 40)), NOW):
            pass


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "gateway.db"
    path.write_bytes(b"this is not SQLite " * 500)
    with pytest.raises(StoreUnavailable) as caught:
        async with open_store(path, KEY, NOW):
            pass

    assert caught.value.reason == "file is not a database"
    assert "restore a backup" in str(caught.value)


async def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        async with open_store(tmp_path / "file" / "gateway.db", KEY, NOW):
            pass


async def test_two_processes_may_create_the_store_at_once(tmp_path):
    async def create():
        async with open_store(tmp_path / "gateway.db", KEY, NOW) as store:
            return await store.version()

    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(create()) for _ in range(4)]

    assert all(task.result() >= 1 for task in made)


async def test_the_migrations_make_what_the_tables_say(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from gateway.store.tables import metadata

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with store._engine.begin() as db:
        assert await db.run_sync(differences) == []


def test_the_known_revisions_are_the_files_there_are():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from gateway.store import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == REVISIONS


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "/state/gateway.db"),
        ("sqlite:////elsewhere/g.db", "/elsewhere/g.db"),
        ("sqlite:///g.db", "/state/g.db"),
    ],
)
def test_the_database_url_names_a_file(url, path):
    assert database_path(Path("/state"), url) == Path(path)


@pytest.mark.parametrize("url", ["sqlite:///", "postgresql://u:hunter2@h/db", "/a/file"])
def test_another_database_url_is_a_configuration_error_without_the_url(url):
    with pytest.raises(ConfigurationError) as caught:
        database_path(Path("/state"), url)

    assert "hunter2" not in str(caught.value)


def test_secrets_of_rows_are_not_printed():
    row = connection(sealed_secret=b"sealed-bytes")

    assert "sealed-bytes" not in repr(row)
    assert "hash of ci" not in repr(token())
    assert replace(row, sealed_secret=None) != row
